"""Memory of a claim's model, alone or against another's: shared by the measuring and the predicting probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain

Bytes = Mapping[str, Any]
"""Bytes named as the quantities are, `logits`, and under `how`, if anything, how they were measured."""


def compared(claim: Claim, scope: Scope, read: Callable[[str], Bytes]) -> Measurement:
    """The claim's quantity, where `read` gives a model's bytes."""
    assert claim.quantity is not None
    mine = read(claim.given["model"])
    name, _, relation = claim.quantity.partition("_")
    how = {"bytes": _bytes(mine), **mine.get("how", {})}
    if claim.quantity == "logits_share":
        return certain(Fraction(mine["logits"], mine["activation"]), scope, **how)
    if not relation:
        return certain(mine[name], scope, **how)
    other = read(claim.given["against"])
    how["against"] = _bytes(other)
    gap = mine[name] - other[name]
    return certain(gap if relation == "difference" else Fraction(gap, other[name]), scope, **how)


def _bytes(found: Bytes) -> dict[str, int]:
    return {name: size for name, size in found.items() if name != "how"}
