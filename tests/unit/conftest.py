"""The real ledger, and ways to ask a probe or to verify a claim in a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from muse import cli, machine, probes
from muse.claims.claim import Claim, Expect, Ledger, Status
from muse.claims.measurement import Measurement
from muse.config import Settings, load_settings
from muse.probes.bench import Bench
from muse.store.record import Record
from muse.verify import Run, open_ledger, verify

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The project's own settings."""
    return load_settings(ROOT)


@pytest.fixture(scope="session")
def real_ledger(settings) -> Ledger:
    """Every claim that the project makes."""
    return open_ledger(settings)


@pytest.fixture
def a_claim() -> Callable[..., Claim]:
    """Makes a claim that asks a probe for a quantity."""

    def make(probe: str | None, quantity: str | None, unit: str = "count", **changes: Any) -> Claim:
        stated = {
            "id": "paper/claim",
            "document": "paper",
            "section": "Results",
            "says": "It is so.",
            "unit": unit,
            "probe": probe,
            "quantity": quantity,
            "protocol": "sound",
            "expect": Expect(equals=0),
            "needs": probes.PROBES[probe].needs if probe else (),
            "recorded": Status.CONFIRMED,
        }
        return Claim.model_validate({**stated, **changes})

    return make


@pytest.fixture
def bench(tmp_path, settings) -> Bench:
    """A workbench with no reading on it yet."""
    return Bench(settings, tmp_path / "readings")


@pytest.fixture
def ask(a_claim, bench) -> Callable[..., Measurement]:
    """What a probe measures for a quantity of the given model, sizes or operands."""

    def measured(probe: str, quantity: str, unit: str = "count", protocol: str = "sound", **given: Any) -> Measurement:
        return probes.measure(a_claim(probe, quantity, unit, protocol=protocol, given=given), bench)

    return measured


@pytest.fixture
def decided(tmp_path, settings, real_ledger) -> Callable[..., dict[str, Record]]:
    """Verifies claims of the real ledger by their ids, each time in a run without readings."""
    claims, runs = {claim.id: claim for claim in real_ledger.claims}, count()

    def verified(*ids: str) -> dict[str, Record]:
        folder = tmp_path / f"run{next(runs)}"
        folder.mkdir()
        return {id_: verify(claims[id_], Run(settings, folder)) for id_ in ids}

    return verified


@pytest.fixture
def muse(monkeypatch, capsys, tmp_path, root):
    """Runs the program in this process; gives its exit code, its output and its errors by line."""
    for name in [name for name in os.environ if name.startswith("MUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(root)
    monkeypatch.setenv("MUSE_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MUSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(machine, "gpus", tuple)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["muse", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err.splitlines()

    return run
