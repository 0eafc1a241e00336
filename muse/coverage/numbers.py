"""What a number in a text is, and whether it can be the number of a claim.

Every digit of a text belongs to exactly one number: in words (FP16), code, links and TeX too.
`5.74 GB`, `4,840,691,712`, `-14.3%`, `1e-5`, `²`, `₂` and `2.2.0` are one number each; `1.5-2x` is two.
"""

# ruff: noqa: RUF001  documents print full-width digits, a true minus and the sign of multiplication
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from muse.claims.claim import Claim
from muse.units import UNITS, half_step

_PERCENT, _TIMES = ("ratio", (Fraction(1, 100),)), ("ratio", (Fraction(1),))
_GLUED: dict[str, tuple[str, tuple[Fraction, ...]]] = {
    **dict.fromkeys(("x", "×", "倍"), _TIMES),
    "K": ("count", (Fraction(10**3), Fraction(2**10))),
    "M": ("count", (Fraction(10**6),)),
    "B": ("count", (Fraction(10**9),)),
    "T": ("count", (Fraction(10**12),)),
    "万": ("count", (Fraction(10**4),)),
    "億": ("count", (Fraction(10**8),)),
}
_SPACED: dict[str, tuple[str, tuple[Fraction, ...]]] = {
    **dict.fromkeys(("%", r"\%", "％"), _PERCENT),
    **{
        f"{p}B": ("bytes", (Fraction(1000**n), Fraction(1024**n)))
        for p, n in zip("kKMGT", (1, 1, 2, 3, 4), strict=True)
    },
    **{f"{p}iB": ("bytes", (Fraction(1024**n),)) for n, p in enumerate("KMGT", 1)},
    **{name: ("seconds", (UNITS[name].factor,)) for name in ("s", "ms", "us")},
    **{name: ("count", (UNITS[name].factor,)) for name in ("million", "billion")},
}
SUFFIXES = _GLUED | _SPACED
"""Each suffix with its dimension and what it may multiply by; documents print GB and mean either."""


def _any(names: dict[str, Any]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


_NUMBER = re.compile(
    rf"""
    (?P<digits>
        (?:(?<![A-Za-z\d_)\]}}%倍-])[-+−])?         # a sign, unless it stands between two things
        (?:\d{{1,3}}(?:[,，]\d{{3}}(?!\d))+|\d+)    # with thousands, or without
        (?:[.．]\d+)*                               # decimals; a version has more than one point
        (?:[eE][-+]?\d+(?![A-Za-z\d_]))?
        | ⁻?[⁰¹²³⁴-⁹]+ | [₀-₉]+ | [¼-¾⅐-⅞①-⑳]
    )
    (?:(?:[ ~\u00a0]?(?P<spaced>{_any(_SPACED)})|(?P<glued>{_any(_GLUED)}))(?![A-Za-z\d_]))?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Number:
    """A number where it stands in a text."""

    printed: str
    """As it stands, with its suffix."""
    digits: str
    suffix: str
    start: int
    end: int

    @property
    def value(self) -> Decimal | None:
        """What the digits say, without the suffix; None for a version or a fraction."""
        try:
            return Decimal(unicodedata.normalize("NFKC", self.digits).replace(",", "").replace("−", "-"))
        except InvalidOperation:
            return None


def numbers(text: str) -> Iterator[Number]:
    """Every number of `text`, in order."""
    for match in _NUMBER.finditer(text):
        suffix = match["spaced"] or match["glued"] or ""
        yield Number(match[0], match["digits"], suffix, match.start(), match.end())


def fits(number: Number, claim: Claim) -> bool:
    """Whether the claim speaks of this number.

    It is the claim's documented number, rounded as printed; or it occurs in what the claim gives its probe,
    in its bound, in its quote or in its sentence.
    """
    words = [*numbers(claim.quote or ""), *numbers(claim.says)]
    if any(
        (word.value or word.digits, word.suffix) == (number.value or number.digits, number.suffix) for word in words
    ):
        return True
    if number.value is None:
        return False
    value, slack = Fraction(number.value), half_step(number.value)
    factors, unit = _factors(number, claim.unit), UNITS[claim.unit].factor
    if claim.documented is not None:
        documented = Fraction(claim.documented) * unit
        if any(abs(documented - value * factor) <= slack * factor for factor in factors):
            return True
    bound = {Fraction(x) * unit for x in _flat(claim.expect.model_dump(exclude_none=True))}
    given = set(map(Fraction, _flat(claim.given)))
    scales = SUFFIXES[number.suffix][1] if number.suffix else (Fraction(1),)
    return any(value * factor in bound for factor in factors) or any(value * scale in given for scale in scales)


def _factors(number: Number, unit: str) -> set[Fraction]:
    """What the number may be multiplied by to reach the base of the unit; none where the dimensions differ."""
    if not number.suffix:
        return {UNITS[unit].factor, Fraction(1)}
    dimension, factors = SUFFIXES[number.suffix]
    return set(factors) if dimension == UNITS[unit].dimension else set()


def _flat(data: Any) -> Iterator[int | Decimal]:
    """Every number within plain data."""
    if isinstance(data, dict):
        data = data.values()
    elif isinstance(data, (int, Decimal)) and not isinstance(data, bool):
        yield data
        return
    elif isinstance(data, str) or not hasattr(data, "__iter__"):
        return
    for item in data:
        yield from _flat(item)
