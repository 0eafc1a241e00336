"""What is one number, and which claim speaks of it."""

# ruff: noqa: RUF001  full-width digits and a true minus are what is tested
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse.claims.claim import Expect
from muse.coverage.numbers import fits, numbers


def printed(text):
    """Return the numbers of a text as they are printed."""
    return [number.printed for number in numbers(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5.74 GB and 6.89GB", ["5.74 GB", "6.89GB"]),
        ("1,617.9M (1.62B)", ["1,617.9M", "1.62B"]),
        ("4,840,691,712", ["4,840,691,712"]),
        ("512,1024", ["512", "1024"]),
        ("93.4\\% or 93.4 % or 93.4%", ["93.4\\%", "93.4 %", "93.4%"]),
        ("1.5-2x", ["1.5", "2x"]),
        ("5-10%劣化", ["5", "10%"]),
        ("構成で-14.3%", ["-14.3%"]),
        ("(-0.01 GB, +0.1%)", ["-0.01 GB", "+0.1%"]),
        ("−3 MB", ["−3 MB"]),
        ("69.1 - 22.8", ["69.1", "22.8"]),
        ("4 × d", ["4"]),
        ("約69倍、341×", ["69倍", "341×"]),
        ("1--5", ["1", "5"]),
        ("1e-5", ["1e-5"]),
        ("O(N²), log₂, N^2, 10⁻⁶", ["²", "₂", "2", "10", "⁻⁶"]),
        ("v2.2.0+cu118", ["2.2.0", "118"]),
        ("2025-11-29", ["2025", "11", "29"]),
        ("FP16 and phase8_max.py", ["16", "8"]),
        ("８.５ GB", ["８.５ GB"]),
        ("8bit, 216,384 params", ["8", "216,384"]),
        ("8GBの6%, 1.6Bパラメータ", ["8GB", "6%", "1.6B"]),
        ("0.5 ms, 3 Models", ["0.5 ms", "3"]),
        ("[3](a/7.html)", ["3", "7"]),
        ("& 6 & 25.4\\% \\\\", ["6", "25.4\\%"]),
    ],
)
def test_a_number_is_what_is_printed_as_one(text, expected):
    """With its sign, its thousands and its suffix, and nothing else."""
    assert printed(text) == expected


@given(st.text(st.sampled_from("0189.,+-−eE²⁻₂½8 GB%x倍５_a(")))
def test_every_digit_belongs_to_exactly_one_number(text):
    """No digit is overlooked and none counted twice."""
    found = [i for number in numbers(text) for i in range(number.start, number.end)]
    digits = {i for i, character in enumerate(text) if unicodedata.category(character) in ("Nd", "No")}
    assert len(found) == len(set(found))
    assert digits <= set(found)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,617.9M", "1617.9"), ("−0.01", "-0.01"), ("²", "2"), ("⁻⁶", "-6"), ("８.５", "8.5"), ("1e-5", "0.00001")],
)
def test_a_number_s_value_is_that_of_its_digits(text, value):
    """The suffix is left to its reader."""
    assert next(numbers(text)).value == Decimal(value)


@pytest.mark.parametrize("text", ["2.2.0", "½"])
def test_a_version_or_a_fraction_has_no_value(text):
    """It is still a number of the document."""
    assert next(numbers(text)).value is None


@pytest.mark.parametrize(
    ("text", "documented", "unit"),
    [
        ("4.84B", "4840691712", "count"),
        ("4,840,691,712", "4.840691712", "billion"),
        ("0.11B", "106.8", "million"),
        ("5.74 GB", "5.74", "GiB"),
        ("7.50GB", "7.5", "GB"),
        ("6.89", "6.89", "GiB"),
        ("6144 MB", "6", "GiB"),
        ("-14.3%", "-14.3", "percent"),
        ("0.95", "95", "percent"),
        ("57%", "57.0", "percent"),
        ("341×", "341.33", "times"),
        ("8K", "8192", "count"),
        ("1.5 ms", "0.0015", "s"),
    ],
)
def test_a_number_fits_the_documented_one_up_to_its_rounding(a_claim, text, documented, unit):
    """In the claim's unit, or in the one that is printed with it."""
    assert fits(next(numbers(text)), a_claim(None, None, unit, documented=documented, says=""))


@pytest.mark.parametrize(
    ("text", "documented", "unit"),
    [
        ("4.85B", "4840691712", "count"),
        ("0.12B", "106.8", "million"),
        ("5.75 GB", "5.74", "GiB"),
        ("5.74 MB", "5.74", "GiB"),
        ("5.74%", "5.74", "GiB"),
        ("8 GB", "8000000000", "count"),
        ("14.3%", "-14.3", "percent"),
        ("2.2.0", "2.2", "times"),
    ],
)
def test_another_number_does_not_fit(a_claim, text, documented, unit):
    """One digit, another unit or the other sign is another number."""
    assert not fits(next(numbers(text)), a_claim(None, None, unit, documented=documented, says=""))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("512", {"given": {"tokens": 512}}),
        ("8K", {"given": {"tokens": [512, 8192]}}),
        ("0.1%", {"expect": Expect(below="0.1"), "unit": "percent"}),
        ("²", {"quote": "計算: O(N²)"}),
        ("4", {"quote": "75%圧縮 (d_model/4)"}),
        ("32", {"says": "It has 32 layers."}),
    ],
)
def test_a_number_fits_a_claim_in_which_it_occurs(a_claim, text, where):
    """In what it gives its probe, in its bound, in its quote or in its sentence."""
    assert fits(next(numbers(text)), a_claim(None, None, **where))


@pytest.mark.parametrize("where", [{"given": {"tokens": 513}}, {"quote": "512 GB"}, {"given": {"model": "phase512"}}])
def test_a_number_that_occurs_nowhere_does_not_fit(a_claim, where):
    """A near number, another unit or a name with the digits in it is not this number."""
    assert not fits(next(numbers("512")), a_claim(None, None, **where))
