"""Claims as tests, seen as users see them: real pytest runs in a project of their own, with a small ledger."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from muse.store.files import read

DATA = Path(__file__).parent / "data"
CONFTEST = (DATA / "project_conftest.txt").read_text()
TEST = """
def test_claim(claim, decide):
    decide(claim)
"""
PYPROJECT = """
[tool.muse]
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "--strict-markers", "-p", "no:cacheprovider"]
xfail_strict = true
filterwarnings = ["error", "ignore:Benchmarks are automatically disabled", "ignore:Benchmark fixture was not used"]
"""
LEDGER = (DATA / "ledger.yaml").read_text()
CHANGED = (DATA / "changed.yaml").read_text()
PREDICTED = (DATA / "predicted.yaml").read_text()
IDS = ["holds[small]", "holds[large]", "wrong", "vague", "lost", "peak", "speed"]


class Project:
    """A folder with a ledger of its own, and the ways to run it."""

    def __init__(self, folder: Path, root: Path, ledger: str) -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("MUSE_", "PYTEST_", "COV_"))}
        self.environment |= {"PYTHONPATH": str(root), "COLUMNS": "240"}
        home = folder / "tests/claims/paper"
        home.mkdir(parents=True)
        (home / "document.yaml").write_text("title: A paper\npublished: 2025-11-29\nhardware: one card\n")
        self.file = home / "results.yaml"
        self.file.write_text(ledger)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "tests/claims/test_claims.py").write_text(TEST)
        (folder / "pyproject.toml").write_text(PYPROJECT)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run pytest here to its end."""
        command = [sys.executable, "-m", "pytest", "-v", "-rA", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def records(self) -> list[Path]:
        """Every file of records that runs left here."""
        return sorted(self.folder.glob(".muse/runs/*/records.jsonl"))


def outcomes(done: subprocess.CompletedProcess) -> dict[str, str]:
    """Return the outcome of each claim, as pytest's verbose lines tell it."""
    return dict(re.findall(r"test_claim\[paper/(\S+)\] (PASSED|FAILED|SKIPPED|XFAIL|XPASS|ERROR)", done.stdout))


@pytest.fixture(scope="session")
def project(tmp_path_factory, root):
    """Makes projects."""
    return lambda ledger: Project(tmp_path_factory.mktemp("project"), root, ledger)


@pytest.fixture(scope="session")
def honest(project):
    """A project whose verdicts are as recorded, after one run without a GPU that keeps its benchmarks."""
    made = project(LEDGER)
    made.done = made.run("--benchmark-json=benchmark.json")
    return made


@pytest.fixture(scope="session")
def changed(project):
    """A project with two verdicts that are not as recorded and a crash, after one run."""
    made = project(LEDGER + "\n" + CHANGED)
    made.done = made.run("-k", "mended or broken or crash")
    return made


@pytest.fixture(scope="session")
def parallel(project):
    """The honest ledger and a crash on a machine with a card, run by two workers."""
    made = project(LEDGER + "\n" + CHANGED)
    made.done = made.run("-n", "2", "--card", "-k", "not peak and not mended and not broken and not crash")
    return made


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
    assert "XPASS(strict)" in changed.done.stdout


def test_a_confirmed_claim_that_is_refuted_fails(changed):
    """With the verdict in one line."""
    assert outcomes(changed.done)["broken"] == "FAILED"
    assert "ClaimRefuted: paper/broken: refuted, outside_bound, 3.000 times" in changed.done.stdout


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
    assert "REFUSED: timings do not run under xdist" in parallel.done.stdout
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


@pytest.fixture(scope="session")
def resumed(project):
    """A project whose first run was cut off after the first claims, and its second run."""
    made = project(LEDGER)
    made.run("-k", "holds")
    made.first = {row.claim.id: row.id for row in read(made.records()[0])}
    made.done = made.run("--junitxml=results.xml")
    return made


def test_a_run_goes_on_where_another_was_cut_off(resumed):
    """What was measured is not measured again, and the verdicts are the same."""
    assert "reused: 2 of 7 claims; --fresh measures all" in resumed.done.stdout
    assert "paper: 2 confirmed, 1 refuted, 1 inconclusive, 3 unmeasured" in resumed.done.stdout
    assert [row.claim.id for row in read(resumed.records()[1])] == [f"paper/{id_}" for id_ in IDS[2:]]


def test_a_reused_claim_names_its_record(resumed):
    """Among the test's properties, where other programs read it."""
    told = (resumed.folder / "results.xml").read_text()
    assert re.findall(r'name="reused" value="(\w+)"', told) == list(resumed.first.values())


def test_a_second_run_measures_nothing_and_ends_as_the_first(resumed):
    """Only what could not be measured is tried again."""
    done = resumed.run()
    assert outcomes(done) == outcomes(resumed.done)
    assert (done.returncode, "reused: 4 of 7 claims" in done.stdout) == (0, True)
    assert [row.claim.id for row in read(resumed.records()[-1])] == [f"paper/{id_}" for id_ in IDS[4:]]


def test_a_run_that_reuses_everything_leaves_no_records(resumed):
    """Evidence is appended once, and an empty run is no run."""
    before = resumed.records()
    done = resumed.run("-k", "holds or wrong or vague")
    assert "records:" not in done.stdout
    assert resumed.records() == before


@pytest.mark.parametrize("option", ["--fresh", "--benchmark-json=benchmark.json"])
def test_a_fresh_run_measures_all(resumed, option):
    """So does one that keeps its times, for a record has none."""
    done = resumed.run("-k", "holds", option)
    assert "reused" not in done.stdout
    assert len(read(resumed.records()[-1])) == 2


def test_two_workers_reuse_as_one_does(resumed):
    """Each reads what this machine has."""
    done = resumed.run("-n", "2", "-k", "holds or wrong")
    assert "reused: 3 of 3 claims" in done.stdout
    assert done.returncode == 0


def test_a_changed_claim_alone_is_measured(project):
    """With the verdict on what it says now."""
    made = project(LEDGER)
    made.run("-k", "holds or wrong")
    made.file.write_text(LEDGER.replace("documented: 30.0", "documented: 40.0"))
    done = made.run("-k", "holds or wrong")
    assert outcomes(done) == {"holds[small]": "PASSED", "holds[large]": "FAILED", "wrong": "XFAIL"}
    assert [row.claim.id for row in read(made.records()[-1])] == ["paper/holds[large]"]


def test_a_reused_verdict_is_compared_with_the_word_of_today(project):
    """Evidence that contradicts a newly recorded verdict is red, without another measurement."""
    made = project(LEDGER)
    made.run("-k", "wrong")
    made.file.write_text(LEDGER.replace("recorded: refuted", "recorded: confirmed"))
    done = made.run("-k", "wrong")
    assert outcomes(done) == {"wrong": "FAILED"}
    assert "reused: 1 of 1 claims" in done.stdout


def test_another_machine_s_evidence_is_not_reused(resumed):
    """A card that was not there before measures everything itself."""
    done = resumed.run("--card", "-k", "holds")
    assert "reused" not in done.stdout
    assert len(read(resumed.records()[-1])) == 2


def test_unreadable_evidence_stops_the_run_with_file_and_line(project):
    """Exit code 4; nothing is decided beside evidence that cannot be trusted."""
    made = project(LEDGER)
    made.run("-k", "holds")
    [file] = made.records()
    file.write_text(file.read_text() + "not a record\n")
    done = made.run("-k", "holds")
    assert (done.returncode, outcomes(done)) == (4, {})
    assert f"{file}:3: unreadable row" in done.stdout + done.stderr
