"""What a probe saw: a value with its interval, its samples and how it was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from muse.claims.claim import Scope

Real = int | float | Fraction


@dataclass(frozen=True)
class Measurement:
    """One quantity in the base of its dimension: bytes, seconds, a count or a plain number.

    A deterministic figure is its own interval. A noisy one carries the interval
    that its samples support, and a rounded operand the interval its rounding leaves open.
    """

    value: Real
    low: Real
    high: Real
    scope: Scope
    samples: Sequence[Real] = ()
    how: Mapping[str, Any] = field(default_factory=dict)
    """What ran and how: implementation, backend, rounds, sizes, the parts of a sum."""


def certain(value: Real, scope: Scope, **how: Any) -> Measurement:
    """A deterministic measurement, whose interval is its value."""
    return Measurement(value, value, value, scope, how=how)
