"""Records made by hand, for tests of the reports."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from muse.claims.claim import Claim, Expect, Scope, Status
from muse.claims.measurement import Measurement
from muse.claims.verdict import Verdict, judge
from muse.reporting.words import searched
from muse.store.record import Record
from muse.units import UNITS

GPU = {"name": "NVIDIA H100 80GB HBM3", "total_bytes": 85_017_493_504, "driver": "560.35.03"}
H100 = {
    "commit": "4f1c2a9be07d53f68a1b",
    "dirty": False,
    "machine": "nvidia-h100-80gb-hbm3",
    "gpu": GPU,
    "python": "3.11.2",
    "packages": {"torch": "2.13.0+cu128", "triton": "3.5.0"},
}
LAPTOP = {**H100, "machine": "cpu-x86-64", "gpu": None, "packages": {"torch": "2.13.0"}, "dirty": True}
GIB = 2**30


def make_claim(claim_id: str = "phase8/peak", **changes: Any) -> Claim:
    """A claim that a document printed as 5.80 GiB, unless `changes` say otherwise."""
    facts: dict[str, Any] = {
        "id": claim_id,
        "document": claim_id.partition("/")[0],
        "section": "Memory",
        "says": "The forward pass peaks at 5.80 GB.",
        "documented": Decimal("5.80"),
        "unit": "GiB",
        "probe": "peak_memory",
        "quantity": "allocated_peak",
        "protocol": "documented",
        "recorded": Status.CONFIRMED,
        **changes,
    }
    if "expect" not in facts:
        facts["expect"] = Expect(equals=facts["documented"])
    return Claim(**facts)


def make_record(claim: Claim, value: float | None = None, **changes: Any) -> Record:
    """The record of `claim` with `value` in the claim's unit; without a value it is unmeasured for want of a GPU."""
    scope, low, high = (changes.pop(key, None) for key in ("scope", "low", "high"))
    factor = float(UNITS[claim.unit].factor)
    verdict, taken = Verdict(Status.UNMEASURED, "no_gpu"), None
    if value is not None:
        base = [value if side is None else side for side in (value, low, high)]
        whole = [
            int(side * factor) if UNITS[claim.unit].dimension in ("bytes", "count") else side * factor for side in base
        ]
        taken = Measurement(*whole, scope or Scope.MEASURED, **changes.pop("method", {}))
        verdict = judge(claim, taken)
    facts: dict[str, Any] = {
        "run": "20251130T101500Z_h100",
        "time": "2025-11-30T10:15:00+00:00",
        "verdict": verdict,
        "fingerprint": "f00d",
        "provenance": H100,
        **changes,
    }
    identity = facts.pop("id", f"{facts['run']}:{claim.id}:{facts['time']}")
    return Record(id=identity, claim=claim, measurement=taken, **facts)


@pytest.fixture
def stated() -> Callable[..., Claim]:
    """`stated(id, **changes)`: see `make_claim`."""
    return make_claim


@pytest.fixture
def found() -> Callable[..., Record]:
    """`found(claim, value, **changes)`: see `make_record`."""
    return make_record


@pytest.fixture
def timed() -> Callable[..., Record]:
    """`timed(operator, seconds, against=...)`: an operator's timing, its floor 1 ms, a rival's time 3 ms."""

    def make(
        operator: str, seconds: float, against: str | None = None, case: str = "2x3", floor: float = 1e-3, **given: Any
    ) -> Record:
        told = {"mine": seconds, "floor": floor} | ({"rival": 3e-3} if against else {})
        given |= {"operator": operator, "case": case, "dtype": "float32"} | ({"against": against} if against else {})
        asked = {"probe": "operator", "quantity": "seconds", "protocol": "sound", "documented": None}
        name = f"operators/{operator}_{against}_{case}_{given.get('passes', 'forward')}"
        claim = make_claim(name, unit="ms", expect=Expect(at_most=9), given=given, **asked)
        return make_record(claim, 1e3 * seconds, method={"how": {"seconds": told}})

    return make


@pytest.fixture
def templates() -> tuple[Path, ...]:
    """The project's templates, and those that come with MUSE."""
    return searched(Path(__file__).parents[3] / "reports")
