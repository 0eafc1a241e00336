"""Memory of a claim's workload, alone or against another's: shared by the measuring and the predicting probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.errors import Unmeasured
from muse.probes.workloads import subject

Bytes = Mapping[str, Any]
"""Bytes named as the quantities are, `logits`, and under `how`, if anything, how they were measured."""

RELATIONS: dict[str, Callable[[int, int], Fraction | int]] = {
    "difference": lambda mine, other: mine - other,
    "change": lambda mine, other: Fraction(mine - other, other),
    "saved": lambda mine, other: Fraction(other - mine, other),
}
"""How a figure is told against another's."""


def compared(claim: Claim, scope: Scope, read: Callable[[dict[str, Any]], Bytes]) -> Measurement:
    """The claim's quantity, where `read` gives the bytes of a workload's settings."""
    assert claim.quantity is not None
    mine = read(subject(claim.given))
    name, _, relation = claim.quantity.partition("_")
    how = {"bytes": _bytes(mine), **mine.get("how", {})}
    if claim.quantity == "fits":
        return certain(int(mine["peak"] <= claim.given["budget"]), scope, **how)
    if relation == "share":
        return certain(Fraction(mine[name], mine["activation" if name == "logits" else "peak"]), scope, **how)
    if name not in mine:
        raise Unmeasured("not_told_apart", f"the {claim.protocol} procedure does not tell {name} apart")
    if not relation:
        return certain(mine[name], scope, **how)
    other = read(subject(claim.given, claim.given["against"]))
    how["against"] = _bytes(other)
    return certain(RELATIONS[relation](mine[name], other[name]), scope, **how)


def _bytes(found: Bytes) -> dict[str, int]:
    return {name: size for name, size in found.items() if name != "how"}
