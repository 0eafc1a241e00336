"""Projects of their own with a small ledger, and real pytest runs in them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
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
