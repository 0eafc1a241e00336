"""Numbers as a reader sees them: figures, units, bounds and margins."""

# ruff: noqa: RUF001  the true minus and the times sign are what a reader expects
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor, log10
from typing import Any

from muse.claims.claim import Claim
from muse.claims.measurement import Real
from muse.reporting.words import Words
from muse.units import UNITS, decimals, printed

LABELS = {"count": "", "percent": "%", "times": "×", "us": "µs"}
"""Units whose label is not their name."""

MOST_PLACES = 9
SIGNIFICANT = 3
"""The digits of a figure that no printed number sets."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Figure:
    """One number, printed: bare for siunitx, and grouped for people."""

    plain: str
    grouped: str
    key: str
    """The value in the base of its dimension, for sorting."""
    dimension: str
    """What may be sorted together."""


def figure(value: Real, unit: str, places: int | None) -> Figure:
    """`value`, given in the base of its dimension, in `unit`; `places` as `places` below decides."""
    plain = printed(value, unit, places)
    return Figure(plain, grouped(plain), repr(float(value)), UNITS[unit].dimension)


def stated(number: Decimal, unit: str) -> Figure:
    """A number as a document printed it, every digit kept."""
    plain = format(number, "f")
    return Figure(plain, grouped(plain), repr(float(Fraction(number) * UNITS[unit].factor)), UNITS[unit].dimension)


def places(value: Real, unit: str, documented: Decimal | None, miss: float | None) -> int | None:
    """How many decimals show `value` one place finer than `documented`, and show a `miss` of the bound.

    None leaves the choice to `printed`: for whole counts and for very small numbers.
    """
    usual = printed(value, unit)
    if "e" in usual or (UNITS[unit].factor == 1 and unit in ("count", "B") and value == int(value)):
        return None
    wanted = max(decimals(Decimal(usual)), decimals(documented) + 1 if documented is not None else 0)
    while miss and wanted < MOST_PLACES and abs(Fraction(miss) / UNITS[unit].factor) < Fraction(1, 2 * 10**wanted):
        wanted += 1
    return wanted


def significant(value: Real, unit: str) -> int:
    """How many decimals show a `value` other than zero with three significant digits."""
    return max(0, SIGNIFICANT - 1 - floor(log10(abs(Fraction(value) / UNITS[unit].factor))))


def grouped(plain: str) -> str:
    """`plain` with commas between thousands, a true minus sign and no computer's exponent."""
    mantissa, _, exponent = plain.partition("e")
    whole, point, rest = mantissa.partition(".")
    text = f"{int(whole):,}" if whole not in ("-0", "") else whole
    if exponent:
        rest += f" × 10{str(int(exponent)).translate(_RAISED)}"
    return f"{text}{point}{rest}".replace("-", "−")


def label(unit: str) -> str:
    """What is written after a number in `unit`."""
    return LABELS.get(unit, unit)


def bound(claim: Claim, words: Words) -> str:
    """What the claim expects, in one line, with the interval that its tolerance opens."""
    expect, unit = claim.expect, label(claim.unit)
    if expect.between:
        low, high = (grouped(format(number, "f")) for number in expect.between)
        return words.text("bound.between", low=low, high=f"{high} {unit}".strip())
    number = getattr(expect, expect.kind)
    text = words.text(f"bound.{expect.kind}", number=f"{grouped(format(number, 'f'))} {unit}".strip())
    least, most = claim.bounds()
    if least is not None and most is not None:
        low, high = (_trimmed(side, claim.unit, decimals(number) + 3) for side in (least, most))
        text = words.text("bound.interval", bound=text, low=low, high=high)
    return (
        words.text("bound.because", bound=text, because=words.say(claim.tolerance.because)) if claim.tolerance else text
    )


def margin(value: float, claim: Claim, words: Words) -> str:
    """The signed distance to the nearest bound in the claim's unit, with the side in words."""
    amount = f"{grouped(printed(abs(value), claim.unit))} {label(claim.unit)}".strip()
    return words.text("margin." + ("inside" if value > 0 else "outside" if value < 0 else "exact"), amount=amount)


def _trimmed(value: Fraction, unit: str, most: int) -> str:
    text = printed(value, unit, most)
    return grouped(text.rstrip("0").rstrip(".") if "." in text else text)


def pairs(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Keys and values of free-form data as text, sorted by key."""
    return tuple((str(key).replace("_", " "), plain_text(data[key])) for key in sorted(data))


def plain_text(value: Any) -> str:
    """A free-form value as text that does not depend on the order of keys."""
    if isinstance(value, (bool, int, float, Fraction)):
        return _plain_number(value)
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {plain_text(value[key])}" for key in sorted(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(plain_text(item) for item in value)
    return re.sub(r"\s+", " ", str(value))


def _plain_number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 100_000 else str(value)
    return grouped(f"{float(value):.6g}")
