"""Runs, claims, machines and records for tests of the story."""

from dataclasses import replace

import pytest

from muse import machine
from muse.claims.claim import Expect, Status
from muse.claims.verdict import Verdict
from muse.machine import Gpu
from muse.verify import (
    Run,
    verify,
)

CARD = Gpu(0, "GPU-aaaa", "NVIDIA H100", 80 * 2**30, "550.1")
SUM = {"operation": "sum", "operands": ["1.0", "2.0"]}


@pytest.fixture
def run(tmp_path, settings):
    """A run of its own."""
    (tmp_path / "run").mkdir()
    return Run(settings, tmp_path / "run")


@pytest.fixture
def arithmetic(a_claim):
    """A claim that 1.0 + 2.0 is a number of times."""

    def make(expected="3.0", **changes):
        stated = {"given": SUM, "expect": Expect(attainable=expected), **changes}
        return a_claim("arithmetic", "result", "times", **stated)

    return make


@pytest.fixture
def no_card(monkeypatch):
    """A machine without a GPU."""
    monkeypatch.setattr(machine, "gpus", tuple)


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A machine with one card, whose lock file is in a folder of its own."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def ended(run, arithmetic):
    """A record that ended with a status, of a claim recorded with one."""
    sample = verify(arithmetic(), run)

    def make(status, recorded="confirmed", reason="why"):
        claim = sample.claim.model_copy(update={"recorded": Status(recorded)})
        return replace(sample, claim=claim, verdict=Verdict(Status(status), reason))

    return make


@pytest.fixture
def memory_claim(a_claim):
    """A claim about measured memory."""
    return lambda model, **changes: a_claim("memory", "peak", "B", given={"model": model}, **changes)
