"""pytest is the way in: claims become tests. Hooks and fixtures only; what they do lives in `muse.verify`.

A test that asks for `claim` and `decide` runs once per claim and case; its id is the claim's address::

    def test_claim(claim, decide):
        decide(claim)
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from muse import machine
from muse.claims.claim import Claim, Status
from muse.config import load_settings
from muse.errors import ClaimInconclusive, ClaimRefuted, LedgerError, StoreError, UsageError, VerdictError
from muse.memory import isolate
from muse.models import Subjects
from muse.probes import PROBES
from muse.probes.bench import plain_rounds
from muse.store.record import Record
from muse.verify import Run, enforce, explained, held, open_ledger, register, reuse, verify

RUN = pytest.StashKey[Run]()
MALFORMED = pytest.StashKey[bool]()
DECIDED = pytest.StashKey[Record]()
"""Of a test: the record that decides its claim."""
CROWDED = pytest.StashKey[bool]()
"""Whether this process is one of more workers than there are GPUs."""
TIMES = ("benchmark_json", "benchmark_save", "benchmark_autosave", "benchmark_compare", "benchmark_histogram")
"""pytest-benchmark's options that keep or compare times: such a run measures everything, for a record has no times."""
OURS = pytest.StashKey[bool]()
"""Whether the project under test has claims."""
RAISED = {Status.REFUTED: ClaimRefuted, Status.INCONCLUSIVE: ClaimInconclusive}


class Hooks:
    """What a project's conftest.py may say."""

    def pytest_muse_register(self, subjects: Subjects) -> None:
        """Register the project's own networks, as the module of `[tool.muse] subjects` does."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let conftest files register."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much is measured anew, and whether what cannot be measured fails."""
    group = parser.getgroup("muse", "verification of documented claims")
    group.addoption("--fresh", action="store_true", help="measure also what this clone has measured, where it holds")
    group.addoption("--replay", action="store_true", help="replay also the committed evidence of a machine like this")
    group.addoption("--require-gpu", action="store_true", help="fail the GPU claims that could not be measured")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; keep pytest-benchmark's table of times for runs that ask to compare them.

    Where there are several GPUs, xdist's workers take turns to have one.
    """
    if config.getoption("--fresh") and config.getoption("--replay"):
        raise pytest.UsageError("--fresh measures all, --replay as little as it can; give one of them")
    config.addinivalue_line("markers", "gpu: needs an NVIDIA GPU")
    if not config.getoption("benchmark_compare", default=None):
        config.option.benchmark_quiet = True
    config.addinivalue_line("markers", "speed: measures time, and so refuses to share its GPU with other workers")
    if worker := getattr(config, "workerinput", None):
        config.stash[CROWDED] = worker["workercount"] > len(machine.alike())
        machine.take(int(worker["workerid"].removeprefix("gw")))
    if not load_settings(config.rootpath).path("claims").is_dir():
        return  # another project's tests
    try:
        config.hook.pytest_muse_register(subjects=Subjects())
        register(load_settings(config.rootpath))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[OURS] = True
    if machine.gpus():
        isolate.prepare()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `claim` and `decide` gets every claim of the ledger."""
    if not {"claim", "decide"} <= set(metafunc.fixturenames):
        return
    try:
        claims = open_ledger(load_settings(metafunc.config.rootpath)).claims
    except (LedgerError, UsageError) as error:
        metafunc.config.stash[MALFORMED] = True
        raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("claim", [pytest.param(claim, id=claim.id, marks=_marks(claim)) for claim in claims])


def _marks(claim: Claim) -> list[pytest.MarkDecorator]:
    """The claim's needs, and the verdict that it is recorded with."""
    marks = [pytest.mark.gpu] if "gpu" in claim.needs else []
    if claim.probe and PROBES[claim.probe].timed:
        marks.append(pytest.mark.speed)
    if claim.recorded in RAISED:
        marks.append(pytest.mark.xfail(strict=True, raises=RAISED[claim.recorded], reason=claim.cause or ""))
    return marks


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A verdict is told in words; a traceback is for mistakes."""
    report = yield
    record = item.stash.get(DECIDED, None)
    if record and report.failed and (call.excinfo is None or call.excinfo.errisinstance(VerdictError)):
        report.longrepr = explained(record)
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what there is by now out of garbage collections: a prediction makes two, and needs its own garbage gone."""
    if OURS in session.config.stash:
        gc.freeze()


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Run:
    """The run that this session's records belong to; under xdist all workers share one."""
    if RUN not in pytestconfig.stash:
        settings = load_settings(pytestconfig.rootpath)
        shared = getattr(pytestconfig, "workerinput", {}).get("muse_run")
        pytestconfig.stash[RUN] = Run(settings, Path(shared)) if shared else Run.start(settings)
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def known(pytestconfig: pytest.Config) -> Mapping[tuple[str, str], Record]:
    """What is replayed, read once: nothing where this run measures everything."""
    if any(pytestconfig.getoption(name, default=None) for name in ("fresh", *TIMES)):
        return {}
    try:
        return held(load_settings(pytestconfig.rootpath), committed=pytestconfig.getoption("--replay"))
    except StoreError as error:
        pytest.exit(str(error), returncode=error.exit_code)


@pytest.fixture
def decide(
    benchmark: Any, run: Run, known: Mapping[tuple[str, str], Record], request: pytest.FixtureRequest
) -> Callable[[Claim], Record]:
    """Take a claim's evidence or verify it as a benchmark, and raise, skip or pass by its verdict."""

    def decide(claim: Claim) -> Record:
        if record := reuse(claim, known):
            request.node.user_properties.append(("replayed", record.id))
        else:
            record = _verified(claim, run, benchmark, crowded=request.config.stash.get(CROWDED, False))
        told = [claim.document, str(record.verdict.status), record.verdict.reason]
        request.node.user_properties.append(("muse", told))
        if record.verdict.status is Status.UNMEASURED:
            reason = f"{record.verdict.reason}: {record.verdict.detail}"
            if claim.needs and request.config.getoption("--require-gpu"):
                pytest.fail(f"--require-gpu: {claim.id} is unmeasured, {reason}", pytrace=False)
            pytest.skip(f"unmeasured, {reason}")
        request.node.stash[DECIDED] = record
        enforce(record)
        return record

    return decide


def _verified(claim: Claim, run: Run, benchmark: Any, *, crowded: bool) -> Record:
    """The claim's new record, with its times and facts in pytest-benchmark's hands."""
    if claim.probe and PROBES[claim.probe].timed:
        record = verify(claim, run, _rounds(benchmark), crowded=crowded)
    else:
        record = benchmark.pedantic(verify, args=(claim, run), rounds=1, iterations=1)
    benchmark.extra_info.update(_extra_info(record))
    return record


def _rounds(benchmark: Any) -> Callable[[Callable[[], None], int], None]:
    """As pytest-benchmark, which under xdist or where it is disabled would call but once."""
    if benchmark.disabled:
        return plain_rounds
    return lambda function, count: benchmark.pedantic(function, rounds=count, iterations=1)


def _extra_info(record: Record) -> dict[str, Any]:
    """What pytest-benchmark keeps beside the times."""
    taken = record.measurement
    return {
        "claim": record.claim.id,
        "record": record.id,
        "verdict": str(record.verdict.status),
        "reason": record.verdict.reason,
        "value": None if taken is None else float(taken.value),
        "bytes": None if taken is None else taken.how.get("bytes"),
    }


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the controller's run."""
    stash = node.config.stash
    if RUN not in stash:
        stash[RUN] = Run.start(load_settings(node.config.rootpath))
    node.workerinput["muse_run"] = str(stash[RUN].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Hear from a worker that the ledger is malformed."""
    if getattr(node, "workeroutput", {}).get("muse_malformed"):
        node.config.stash[MALFORMED] = True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End with exit code 4 where the ledger is malformed: that is a fault of the claims, not a failed test."""
    if MALFORMED in session.config.stash:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        getattr(session.config, "workeroutput", {})["muse_malformed"] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no empty run behind; a worker leaves it to the controller, for others may still write there."""
    if hasattr(config, "workerinput"):
        return
    if (run := config.stash.get(RUN, None)) and run.folder.is_dir() and not any(run.folder.iterdir()):
        run.folder.rmdir()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Count verdicts by document, say what was replayed, what was not measured and why, and where the records are."""
    decided = list(_decided(terminalreporter))
    if not decided:
        return
    seen = [tuple(properties["muse"]) for properties in decided]
    terminalreporter.section("claims")
    for document in sorted({document for document, _, _ in seen}):
        counts = Counter(status for name, status, _ in seen if name == document)
        terminalreporter.line(f"{document}: " + ", ".join(f"{counts[status]} {status}" for status in Status))
    if replayed := sum("replayed" in properties for properties in decided):
        terminalreporter.line(f"replayed: {replayed} of {len(seen)} claims, measured before; --fresh measures all")
    reasons = Counter(reason for _, status, reason in seen if status == Status.UNMEASURED)
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"UNMEASURED: {count} claims, {reason}", yellow=True, bold=True)
    if reasons["timed_under_xdist"]:
        words = "a timing needs its GPU to itself; run timings without -n, or with no more workers than GPUs"
        terminalreporter.line(f"REFUSED: {words}", red=True, bold=True)
    if (run := config.stash.get(RUN, None)) and run.records.exists():
        terminalreporter.line(f"records: {run.records}")


def _decided(terminalreporter: Any) -> Iterator[dict[str, Any]]:
    """The properties of every test that decided a claim."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call" and "muse" in (properties := dict(report.user_properties)):
                yield properties
