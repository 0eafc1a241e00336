"""How far a predicted peak is from the measured one, on this machine's card."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.errors import Unmeasured
from muse.memory.card import this_card
from muse.probes import memory, predicted_memory
from muse.probes.bench import Bench
from muse.probes.workloads import subject

NEAR = 2 * 2**20
"""Bytes within which a prediction is near."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The miss as a share of the measured peak, or which share of the peaks `among` these is predicted nearly.

    A measurement that was stopped because it outgrew its prediction has no peak, and is not near.
    """
    with machine.lease(exclusive=False):
        if claim.quantity == "near":
            peaks = [_or_none(claim, bench, subject(claim.given, one)) for one in claim.given["among"]]
            near = [measured is not None and abs(predicted - measured) <= NEAR for predicted, measured in peaks]
            return certain(Fraction(sum(near), len(near)), Scope.MEASURED, peaks=peaks)
        predicted, measured = _peaks(claim, bench, subject(claim.given))
    how = {"predicted": predicted, "measured": measured, "card": this_card().name}
    return certain(abs(Fraction(predicted - measured, measured)), Scope.MEASURED, **how)


def _or_none(claim: Claim, bench: Bench, settings: dict[str, Any]) -> tuple[int, int | None]:
    try:
        return _peaks(claim, bench, settings)
    except Unmeasured as error:
        if error.reason != "outgrew_admission":
            raise
        return _predicted(claim, bench, settings), None


def _peaks(claim: Claim, bench: Bench, settings: dict[str, Any]) -> tuple[int, int]:
    return _predicted(claim, bench, settings), memory.read(claim, bench, settings)["peak"]


def _predicted(claim: Claim, bench: Bench, settings: dict[str, Any]) -> int:
    return predicted_memory.read(claim, bench, settings, this_card())["peak"]
