"""Do the documents' own numbers agree with each other? Each printed operand stands for its rounding interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import prod

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.units import UNITS, half_step

OPERATIONS: dict[str, Callable[[tuple[Fraction, ...]], Fraction]] = {
    "value": lambda x: x[0],
    "sum": lambda x: sum(x, Fraction(0)),
    "difference": lambda x: x[0] - x[1],
    "product": lambda x: prod(x, start=Fraction(1)),
    "bytes": lambda x: prod(x, start=Fraction(1)),
    "ratio": lambda x: x[0] / x[1],
    "change": lambda x: (x[0] - x[1]) / x[1],
    "reduction": lambda x: 1 - x[0] / x[1],
    "distinct": lambda x: Fraction(len(set(x))),
}
"""`change` is relative to the second operand; `reduction` is what the first saves of the second; a `product` is in the
claim's unit, and `bytes` multiplies a count by the bytes of each.

Every one is monotone in each operand of one sign, so the corners of the intervals bound it.
"""
SCALED = ("sum", "difference", "product")
"""Operations whose operands are in the claim's unit."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The result over all operands that round to the printed ones."""
    operation = claim.given["operation"]
    operands = [Decimal(str(operand)) for operand in claim.given["operands"]]
    compute = OPERATIONS[operation]
    scale = UNITS[claim.unit].factor if operation in SCALED else Fraction(1)
    value = compute(tuple(map(Fraction, operands))) * scale
    if operation == "distinct":
        return Measurement(value, value, value, Scope.EXACT)
    corners = [compute(corner) * scale for corner in product(*map(_ends, operands))]
    return Measurement(value, min(corners), max(corners), Scope.EXACT, how={"operation": operation})


def _ends(operand: Decimal) -> Iterator[Fraction]:
    """The smallest and the largest number that print as `operand`; a whole number is itself."""
    slack = half_step(operand) if operand.as_tuple().exponent else Fraction(0)
    yield Fraction(operand) - slack
    yield Fraction(operand) + slack
