"""A claim is one bound on one number, in one unit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from pydantic import ValidationError

from muse.claims.claim import Claim, Expect, Status, Tolerance

GIB = 2**30


def claim(**stated) -> Claim:
    """A claim about bytes in GiB, with what is stated."""
    return Claim.model_validate(
        {
            "id": "paper/peak",
            "document": "paper",
            "section": "Memory",
            "says": "The peak is 5.80 GiB.",
            "unit": "GiB",
            "protocol": "documented",
            "expect": {"equals": Decimal("5.80")},
            "recorded": "confirmed",
            **stated,
        }
    )


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"at_most": 8, "at_least": 1},
        {"equals": 1, "attainable": 1},
        {"below": 1, "between": [0, 1]},
        {"between": [2, 1]},
    ],
)
def test_a_bound_is_exactly_one_and_not_empty(bounds):
    """No bound, two bounds and an empty interval are impossible."""
    with pytest.raises(ValidationError, match="impossible bound"):
        Expect.model_validate(bounds)


@pytest.mark.parametrize("number", [True, 5.8, "five", float("nan"), "Infinity", None])
def test_a_bound_is_a_printed_number(number):
    """Binary fractions are refused, because they have lost the digits that were printed."""
    with pytest.raises(ValidationError):
        Expect.model_validate({"equals": number})


@pytest.mark.parametrize(
    ("expect", "low", "high"),
    [
        ({"at_most": 8}, None, 8),
        ({"below": 8}, None, 8),
        ({"at_least": 8}, 8, None),
        ({"above": 8}, 8, None),
        ({"between": [7, 8]}, 7, 8),
    ],
)
def test_bounds_are_stated_in_the_unit_and_kept_in_its_base(expect, low, high):
    """8 GiB is 8 * 2^30 bytes, exactly, and an open side is None."""
    expected = tuple(None if side is None else side * GIB for side in (low, high))
    assert claim(expect=expect).bounds() == expected


def test_a_documented_procedure_may_miss_by_one_per_cent():
    """1 % of 5.80 is more than half its last place, so 1 % it is."""
    slack = Fraction(58, 1000) * GIB
    middle = Fraction(58, 10) * GIB
    assert claim().bounds() == (middle - slack, middle + slack)


def test_a_coarsely_printed_number_may_miss_by_half_its_last_place():
    """Half of the last place of 6 is more than 1 % of it, so half a place it is."""
    assert claim(expect={"equals": 6}).bounds() == (Fraction(11, 2) * GIB, Fraction(13, 2) * GIB)


def test_a_sound_number_holds_to_its_last_printed_place():
    """A figure of our own has no 1 % to give away."""
    expected = (Fraction(5795, 1000) * GIB, Fraction(5805, 1000) * GIB)
    assert claim(protocol="sound").bounds() == expected


def test_an_attainable_number_holds_to_its_last_printed_place():
    """Arithmetic has no measurement to excuse it."""
    expected = (Fraction(5795, 1000) * GIB, Fraction(5805, 1000) * GIB)
    assert claim(expect={"attainable": Decimal("5.80")}).bounds() == expected


@pytest.mark.parametrize("protocol", ["documented", "sound"])
def test_a_relative_tolerance_overrides_the_default(protocol):
    """It is a share of the printed number, however small."""
    tolerance = {"relative": Decimal("0.001"), "because": "deterministic"}
    slack = Fraction(58, 10000) * GIB
    middle = Fraction(58, 10) * GIB
    assert claim(protocol=protocol, tolerance=tolerance).bounds() == (middle - slack, middle + slack)


@pytest.mark.parametrize("protocol", ["documented", "sound"])
def test_an_absolute_tolerance_overrides_the_default(protocol):
    """It is stated in the claim's unit."""
    tolerance = {"absolute": Decimal("0.5"), "because": "another card"}
    assert claim(protocol=protocol, tolerance=tolerance).bounds() == (Fraction(53, 10) * GIB, Fraction(63, 10) * GIB)


def test_the_tolerance_of_a_negative_number_widens_its_interval():
    """1 % of -50 is taken of its size, so that the low end stays below the high end."""
    low, high = claim(unit="times", expect={"equals": -100}).bounds()
    assert (low, high) == (-101, -99)


@pytest.mark.parametrize("both", [{}, {"relative": 1, "absolute": 1}])
def test_a_tolerance_is_either_relative_or_absolute(both):
    """Neither or both leaves open which one is meant."""
    with pytest.raises(ValidationError, match="either relative or absolute"):
        Tolerance.model_validate({**both, "because": "why"})


def test_a_tolerance_says_why():
    """A tolerance without a reason is not accepted."""
    with pytest.raises(ValidationError, match="because"):
        Tolerance.model_validate({"relative": 1})


def test_a_claim_of_a_table_has_a_name_and_a_case():
    """The address reads document/name[case]."""
    row = claim(id="paper/peak[phase8 large]")
    assert (row.name, row.case) == ("peak", "phase8 large")


def test_a_claim_without_a_table_has_no_case():
    """The address reads document/name."""
    assert (claim().name, claim().case) == ("peak", None)


@pytest.mark.parametrize(
    "changed",
    [
        {"expect": {"equals": Decimal("5.8")}},
        {"unit": "GB"},
        {"protocol": "sound"},
        {"given": {"tokens": 512}},
        {"tolerance": {"relative": Decimal("0.5"), "because": "why"}},
        {"documented": Decimal("5.80")},
        {"probe": "memory"},
        {"quantity": "peak"},
    ],
)
def test_the_fingerprint_follows_everything_that_decides_the_verdict(changed):
    """A change of bound, unit, protocol or question makes evidence stale; even a lost zero does."""
    assert claim(**changed).fingerprint() != claim().fingerprint()


@pytest.mark.parametrize(
    "changed",
    [{"says": "Otherwise."}, {"quote": "5.80 GB"}, {"recorded": Status.REFUTED}, {"cause": "c"}, {"section": "2"}],
)
def test_the_fingerprint_ignores_prose(changed):
    """Evidence outlives a better sentence."""
    assert claim(**changed).fingerprint() == claim().fingerprint()
