"""Claims as tests, seen as users see them: real pytest runs in a project of their own, with a small ledger."""

import json
import re

import pytest

from muse.store.files import read
from tests.unit.plugin.conftest import CHANGED, IDS, LEDGER, PREDICTED, TEST, Project, outcomes


def test_a_test_s_id_is_the_claim_s_address(honest):
    """And there is one test per claim and case."""
    assert list(outcomes(honest.done)) == IDS


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        ("holds[small]", "PASSED"),
        ("wrong", "XFAIL"),
        ("vague", "XFAIL"),
        ("lost", "SKIPPED"),
        ("peak", "SKIPPED"),
        ("speed", "SKIPPED"),
    ],
)
def test_a_verdict_as_recorded_is_no_failure(honest, claim, outcome):
    """Confirmed passes, refuted and inconclusive are expected failures, unmeasured is a skip."""
    assert outcomes(honest.done)[claim] == outcome
    assert honest.done.returncode == 0


def test_an_expected_failure_tells_its_cause_and_a_skip_its_reason(honest):
    """In pytest's own summary, where everyone looks."""
    assert "They make three." in honest.done.stdout
    assert "unmeasured, no_probe: The script was lost." in honest.done.stdout
    assert "unmeasured, no_gpu: no NVIDIA GPU is visible" in honest.done.stdout


def test_the_summary_counts_verdicts_and_what_was_not_measured(honest):
    """A green run without a GPU says so."""
    assert "paper: 2 confirmed, 1 refuted, 1 inconclusive, 3 unmeasured" in honest.done.stdout
    assert "UNMEASURED: 2 claims, no_gpu" in honest.done.stdout
    assert f"records: {honest.records()[0]}" in honest.done.stdout


def test_every_claim_has_its_row(honest):
    """The skipped ones too."""
    [file] = honest.records()
    assert [row.claim.id for row in read(file)] == [f"paper/{id_}" for id_ in IDS]


def test_the_benchmark_file_names_verdict_and_record(honest):
    """Each benchmark can be traced to its row."""
    [file] = honest.records()
    rows = {row.claim.id: row.id for row in read(file)}
    kept = {b["extra_info"]["claim"]: b["extra_info"] for b in json.loads(benchmarks(honest))["benchmarks"]}
    assert kept["paper/holds[small]"]["verdict"] == "confirmed"
    assert kept["paper/wrong"]["verdict"] == "refuted"
    assert {id_: rows[id_] for id_ in kept} == {id_: info["record"] for id_, info in kept.items()}


def benchmarks(made: Project) -> str:
    """Return what pytest-benchmark wrote."""
    return (made.folder / "benchmark.json").read_text()


def test_the_benchmark_file_has_the_bytes_of_a_memory_claim(project):
    """All of them, so that a plot needs no record."""
    made = project(PREDICTED)
    assert made.run("--benchmark-json=benchmark.json").returncode == 0
    [kept] = [b["extra_info"] for b in json.loads(benchmarks(made))["benchmarks"]]
    assert kept["verdict"] == "confirmed"
    assert kept["bytes"]["model"] == kept["value"] > 2.2 * 2**30
    assert set(kept["bytes"]) >= {"model", "peak", "activation", "workspace", "logits"}


def test_two_runs_can_be_compared(project):
    """Their times stand side by side, and only where that was asked for."""
    made = project(LEDGER)
    assert "Name (time in" not in made.run("-k", "holds", "--benchmark-autosave").stdout
    assert "(NOW)" in made.run("-k", "holds", "--benchmark-compare").stdout


def test_a_refuted_claim_that_is_confirmed_fails(changed):
    """The expected failure is strict: its record needs a new word."""
    assert outcomes(changed.done)["mended"] == "FAILED"
    assert "paper/mended: confirmed, recorded as refuted\n  says" in changed.done.stdout


def test_a_confirmed_claim_that_is_refuted_fails(changed):
    """With the verdict in five lines, and no line of ours or of pytest's."""
    assert outcomes(changed.done)["broken"] == "FAILED"
    told = changed.done.stdout.split("_ test_claim[paper/broken] _")[1].splitlines()[1:7]
    assert told[0] == "paper/broken: refuted, recorded as confirmed"
    assert [line.split()[0] for line in told[1:5]] == ["says", "allowed", "found", "record"]
    assert told[2] == "  allowed  3.950 to 4.050 times"
    assert told[3] == "  found    3.000 times, between 2.900 and 3.100, exact: outside_bound"
    assert told[5].startswith("_____")


def test_a_crash_fails_even_where_a_refutation_is_expected(changed):
    """Only the recorded verdict is expected, and a crash is no verdict."""
    assert outcomes(changed.done)["crash"] == "FAILED"
    assert "ZeroDivisionError" in changed.done.stdout
    assert changed.done.returncode == 1


def test_claims_are_selected_by_a_part_of_their_address(honest):
    """`-k` sees what `muse list` prints."""
    done = honest.run("-k", "holds and large", "--co", "-q")
    assert re.findall(r"paper/\S+(?=\])", done.stdout) == ["paper/holds[large]"]


def test_collection_loads_no_torch_and_leaves_nothing_behind(project):
    """No CUDA can be initialised by what is not imported, and a list is no run."""
    made = project(LEDGER)
    done = made.run("--co")
    assert (done.returncode, "loaded: []" in done.stdout) == (0, True)
    assert not (made.folder / ".muse/runs").exists()


@pytest.mark.parametrize("claim", ["peak", "speed"])
def test_required_gpu_claims_fail_instead_of_being_skipped(honest, claim):
    """With the reason, whatever the recorded verdict."""
    done = honest.run("--require-gpu", "-k", claim)
    assert outcomes(done)[claim] == "FAILED"
    assert f"--require-gpu: paper/{claim} is unmeasured, no_gpu" in done.stdout
    assert done.returncode == 1


def test_requiring_a_gpu_says_nothing_about_claims_that_need_none(honest):
    """A sentence that nothing decides is still a skip."""
    assert outcomes(honest.run("--require-gpu", "-k", "lost or holds"))["lost"] == "SKIPPED"


@pytest.mark.parametrize("arguments", [(), ("--co",), ("-n", "2")])
def test_a_malformed_ledger_is_a_usage_error_with_file_and_line(project, arguments):
    """Exit code 4 and every fault, never a refuted claim."""
    made = project(LEDGER.replace("probe: memory", "probe: memmory").replace("unit: GiB", "unit: GigaB"))
    done = made.run(*arguments)
    line = LEDGER.splitlines().index("  peak:") + 1
    told = done.stdout + done.stderr
    assert f"{made.file}:{line}: paper/peak: unknown probe 'memmory'" in told
    assert f"{made.file}:{line}: paper/peak: unknown unit 'GigaB'" in told
    assert done.returncode == 4
    assert outcomes(done) == {}


def test_two_workers_write_one_file_with_every_claim_once(parallel):
    """All workers share the controller's run."""
    [file] = parallel.records()
    assert sorted(row.claim.id for row in read(file)) == sorted(f"paper/{id_}" for id_ in IDS if id_ != "peak")


def test_timings_are_refused_loudly_beside_other_workers(parallel):
    """In the summary, and as the skip's reason."""
    assert "REFUSED: a timing needs its GPU to itself" in parallel.done.stdout
    assert "unmeasured, timed_under_xdist" in parallel.done.stdout
    assert parallel.done.returncode == 0


def test_two_workers_count_verdicts_as_one_does(parallel):
    """The controller sees what the workers decided."""
    assert "paper: 2 confirmed, 1 refuted, 1 inconclusive, 2 unmeasured" in parallel.done.stdout


def test_a_worker_that_ends_early_leaves_the_run_to_the_others(project):
    """A crash leaves it nothing to record, but another worker still has to write to the shared folder."""
    mended, _, crash = CHANGED.split("\n\n")
    made = project(f"section: Results\nclaims:\n{mended}\n\n{crash}")
    slow = TEST.replace("decide(claim)\n", "time.sleep(3 * ('mended' in claim.id))\n    decide(claim)\n")
    (made.folder / "tests/claims/test_claims.py").write_text("import time\n" + slow)
    done = made.run("-n", "2")
    assert "FileNotFoundError" not in done.stdout
    assert [row.claim.id for file in made.records() for row in read(file)] == ["paper/mended"]


def test_a_run_that_decides_nothing_leaves_no_folder(project):
    """Under xdist the controller opens a run for all, and takes it away again."""
    made = project(LEDGER)
    (made.folder / "tests/test_other.py").write_text("def test_other():\n    pass\n")
    made.run("-n", "2", "tests/test_other.py")
    assert list((made.folder / ".muse/runs").iterdir()) == []
