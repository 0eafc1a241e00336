"""A reading is taken once per run, whoever asks, and an answer that failed is remembered."""

import subprocess
import sys

import pytest

from muse.errors import Unmeasured
from muse.probes.bench import Bench, plain_rounds

ASKER = """
import sys, time
from pathlib import Path
from muse.config import Settings
from muse.probes.bench import Bench

def answer():
    with Path("asked").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    return 7

print(Bench(Settings(Path()), Path("readings")).reading({"model": "a"}, answer))
"""


@pytest.fixture
def answers():
    """An answer that counts how often it was asked for."""

    def answer():
        answer.asked += 1
        return {"peak": answer.asked}

    answer.asked = 0
    return answer


def test_two_claims_share_one_answer(bench, answers):
    """The second one reads what the first one measured."""
    assert [bench.reading({"model": "a"}, answers) for _ in range(2)] == [{"peak": 1}, {"peak": 1}]


def test_the_order_of_the_question_does_not_matter(bench, answers):
    """It is the same question in other words."""
    bench.reading({"model": "a", "tokens": 1}, answers)
    bench.reading({"tokens": 1, "model": "a"}, answers)
    assert answers.asked == 1


def test_another_question_is_answered_anew(bench, answers):
    """A model is never charged with another one's reading."""
    assert [bench.reading({"model": name}, answers)["peak"] for name in "ab"] == [1, 2]


def test_another_run_measures_anew(tmp_path, settings, answers):
    """Readings are shared within a run and never across runs."""
    for run in "ab":
        Bench(settings, tmp_path / run).reading({"model": "a"}, answers)
    assert answers.asked == 2


def test_an_unmeasured_answer_is_remembered_with_its_reason(bench):
    """An out-of-memory is not tried again for every claim that asks."""
    tries = []

    def answer():
        tries.append(1)
        raise Unmeasured("out_of_memory", "8 GiB asked for")

    for _ in range(2):
        with pytest.raises(Unmeasured, match="8 GiB asked for") as caught:
            bench.reading({"model": "a"}, answer)
        assert caught.value.reason == "out_of_memory"
    assert len(tries) == 1


def test_a_mistake_of_ours_is_not_remembered(bench, answers):
    """A crash is raised, leaves no reading, and the next one asks again."""
    with pytest.raises(ZeroDivisionError):
        bench.reading({"model": "a"}, lambda: 1 / 0)
    assert bench.reading({"model": "a"}, answers) == {"peak": 1}


def test_two_processes_ask_once(tmp_path, root, monkeypatch):
    """The second one waits for the first one's answer instead of measuring beside it."""
    monkeypatch.setenv("PYTHONPATH", str(root))
    command = [sys.executable, "-c", ASKER]
    asking = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in asking] == ["7\n", "7\n"]
    assert (tmp_path / "asked").read_text() == "x"


def test_plain_rounds_call_as_often_as_asked():
    """No warm-up call is added behind the caller's back."""
    calls = []
    plain_rounds(lambda: calls.append(1), 5)
    assert len(calls) == 5
