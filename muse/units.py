"""Units of claims: what dimension each has, and how a value in it is printed.

Inside the program bytes are integers, times are seconds and fractions are plain numbers.
A unit appears only where a claim states one and where a value is printed.
GB is 10^9 bytes, GiB is 2^30 bytes; the documents print "GB" and mean GiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from muse.errors import UsageError


@dataclass(frozen=True)
class Unit:
    """A named multiple of its dimension's base."""

    name: str
    dimension: str
    factor: Fraction
    tex: str


def _unit(name: str, dimension: str, factor: int | Fraction, tex: str = "") -> tuple[str, Unit]:
    return name, Unit(name, dimension, Fraction(factor), tex)


UNITS: dict[str, Unit] = dict(
    [
        _unit("B", "bytes", 1, r"\byte"),
        _unit("KiB", "bytes", 2**10, r"\kibi\byte"),
        _unit("MiB", "bytes", 2**20, r"\mebi\byte"),
        _unit("GiB", "bytes", 2**30, r"\gibi\byte"),
        _unit("kB", "bytes", 10**3, r"\kilo\byte"),
        _unit("MB", "bytes", 10**6, r"\mega\byte"),
        _unit("GB", "bytes", 10**9, r"\giga\byte"),
        _unit("s", "seconds", 1, r"\second"),
        _unit("ms", "seconds", Fraction(1, 10**3), r"\milli\second"),
        _unit("us", "seconds", Fraction(1, 10**6), r"\micro\second"),
        _unit("count", "count", 1),
        _unit("billion", "count", 10**9),
        _unit("million", "count", 10**6),
        _unit("percent", "ratio", Fraction(1, 100), r"\percent"),
        _unit("times", "ratio", 1),
        _unit("order", "order", 1),
    ]
)

_QUANTITY = re.compile(r"\s*(?P<number>\d+(\.\d+)?)\s*(?P<unit>[KMG]?i?B)\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Bytes in `text`, such as ``8GiB`` or ``7.5 GB``.

    Raises UsageError when the text is not a number followed by a unit of bytes.
    """
    match = _QUANTITY.fullmatch(text)
    by_lower = {name.lower(): u for name, u in UNITS.items() if u.dimension == "bytes"}
    unit = match and by_lower.get(match["unit"].lower())
    if not match or not unit:
        allowed = ", ".join(u.name for u in by_lower.values())
        raise UsageError(f"{text!r} is not an amount of memory; write a number and one of {allowed}, such as 8GiB")
    size = int(Fraction(match["number"]) * unit.factor)
    if size == 0:
        raise UsageError(f"{text!r} is no memory at all; an amount must be more than 0 bytes")
    return size


def decimals(number: Decimal) -> int:
    """Digits after the point, as printed: ``5.80`` has two."""
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def half_step(number: Decimal) -> Fraction:
    """Half a unit in the last printed place: what rounding to that place can hide."""
    return Fraction(1, 2 * 10 ** decimals(number))


def printed(value: Fraction | float, unit: str, places: int | None = None) -> str:
    """`value`, given in the base of the unit's dimension, as a number in that unit without its name.

    Without `places`, counts are printed whole and everything else with four significant digits
    or the digits before the point, whichever is more.
    """
    scaled = float(Fraction(value) / UNITS[unit].factor)
    if places is not None:
        return f"{scaled + 0.0:.{places}f}"
    if scaled == int(scaled) and unit in ("count", "B"):
        return f"{int(scaled)}"
    if scaled == 0:
        return "0"
    magnitude = len(str(int(abs(scaled)))) if abs(scaled) >= 1 else 0
    if magnitude:
        return f"{scaled:.{max(0, 4 - magnitude)}f}"
    return f"{scaled:.3g}"
