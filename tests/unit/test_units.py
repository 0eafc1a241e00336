"""Amounts are read and printed in the unit they name."""

from decimal import Decimal
from fractions import Fraction

import pytest

from muse.errors import UsageError
from muse.units import UNITS, decimals, half_step, parse_bytes, printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GiB", 8 * 2**30),
        ("8 GB", 8 * 10**9),
        ("7.5 GB", 7_500_000_000),
        ("0.5MiB", 2**19),
        ("3kB", 3000),
        ("3 KiB", 3072),
        (" 512 b ", 512),
        ("8gib", 8 * 2**30),
    ],
)
def test_a_number_and_a_unit_of_bytes_is_an_amount(text, expected):
    """GB means 10^9 bytes and GiB 2^30, whatever the case of the letters and the spaces around."""
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "8", "GiB", "-1GiB", "8 TiB", "8 GiB free", "8,5 GB", "1e3 B", "8 iB", "inf GB"])
def test_anything_else_is_refused_in_one_line_that_names_the_units(text):
    """The message quotes what was written and lists every unit of bytes."""
    with pytest.raises(UsageError) as caught:
        parse_bytes(text)
    message = str(caught.value)
    assert "\n" not in message
    assert repr(text) in message
    assert all(unit.name in message for unit in UNITS.values() if unit.dimension == "bytes")


def test_a_gib_is_more_than_a_gb():
    """The two units that documents confuse differ by 7.4 %."""
    assert UNITS["GiB"].factor / UNITS["GB"].factor == Fraction(2**30, 10**9)


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_knows_its_own_name(name):
    """The key under which a unit is found is the name it prints."""
    assert UNITS[name].name == name


@pytest.mark.parametrize(("text", "places"), [("5.80", 2), ("5.8", 1), ("6", 0), ("-0.010", 3), ("1E+3", 0)])
def test_decimals_counts_the_printed_places(text, places):
    """A trailing zero is a printed place; a whole number has none."""
    assert decimals(Decimal(text)) == places


def test_half_step_is_half_of_the_last_printed_place():
    """5.80 stands for anything from 5.795 to 5.805."""
    assert half_step(Decimal("5.80")) == Fraction(5, 1000)


def test_half_step_of_a_whole_number_is_one_half():
    """69 stands for anything from 68.5 to 69.5."""
    assert half_step(Decimal(69)) == Fraction(1, 2)


@pytest.mark.parametrize(
    ("value", "unit", "places", "expected"),
    [
        (Fraction(58, 10) * 2**30, "GiB", 2, "5.80"),
        (2**30, "GB", 2, "1.07"),
        (0.0123, "percent", 1, "1.2"),
        (0.002, "ms", 0, "2"),
    ],
)
def test_printed_keeps_the_places_that_it_is_told(value, unit, places, expected):
    """A value is scaled to its unit and printed with exactly those places."""
    assert printed(value, unit, places) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (3_081_831_424, "count", "3081831424"),
        (8_519_680, "MiB", "8.125"),
        (3_081_831_424, "million", "3082"),
        (123_456_000_000, "million", "123456"),
        (0, "GiB", "0"),
        (Fraction(1, 8), "times", "0.125"),
        (-(2**30), "GiB", "-1.000"),
    ],
)
def test_printed_without_places_is_whole_for_counts_and_short_for_the_rest(value, unit, expected):
    """Counts and bytes are printed whole, other values with four digits or those before the point."""
    assert printed(value, unit) == expected


def test_no_memory_at_all_is_no_amount():
    """A budget of zero bytes cannot be meant."""
    with pytest.raises(UsageError, match="more than 0 bytes"):
        parse_bytes("0GiB")
