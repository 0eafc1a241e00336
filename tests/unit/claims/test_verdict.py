"""A verdict is interval against interval; a straddle decides nothing."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse.claims.claim import Claim, Scope, Status
from muse.claims.measurement import Measurement, certain
from muse.claims.verdict import judge

C, R, I = Status.CONFIRMED, Status.REFUTED, Status.INCONCLUSIVE  # noqa: E741  a table of three letters reads best
REASONS = {C: "within_bound", R: "outside_bound", I: "straddles_bound"}
KINDS = ("equals", "attainable", "at_most", "below", "at_least", "above", "between")

numbers = st.fractions(min_value=-100, max_value=100, max_denominator=1000)


def claim(**expect) -> Claim:
    """A claim about a plain number, exact to its last printed place where it is an equality."""
    return Claim.model_validate(
        {
            "id": "paper/number",
            "document": "paper",
            "section": "One",
            "says": "A number.",
            "unit": "times",
            "protocol": "sound",
            "expect": expect,
            "recorded": "confirmed",
        }
    )


def of_kind(kind: str) -> Claim:
    """A claim of one kind of bound, at 10."""
    return claim(**{kind: [9, 10] if kind == "between" else 10})


def seen(low: Fraction, high: Fraction) -> Measurement:
    """A measurement with this interval."""
    return Measurement((low + high) / 2, low, high, Scope.MEASURED)


@pytest.mark.parametrize(
    ("kind", "low", "high", "status"),
    [
        ("at_most", 9, 10, C),
        ("at_most", 10, 10, C),
        ("at_most", 9, 11, I),
        ("at_most", 10, 11, I),
        ("at_most", 11, 12, R),
        ("below", 8, 9, C),
        ("below", 9, 10, I),
        ("below", 10, 10, R),
        ("below", 10, 11, R),
        ("at_least", 10, 11, C),
        ("at_least", 10, 10, C),
        ("at_least", 9, 11, I),
        ("at_least", 9, 10, I),
        ("at_least", 8, 9, R),
        ("above", 11, 12, C),
        ("above", 10, 11, I),
        ("above", 10, 10, R),
        ("above", 9, 10, R),
        ("between", 9, 10, C),
        ("between", 8, 9, I),
        ("between", 10, 11, I),
        ("between", 8, 11, I),
        ("between", 7, 8, R),
        ("between", 11, 12, R),
        ("equals", "9.5", "10.5", C),
        ("equals", "9.4", "9.5", I),
        ("equals", "9.4", "10.6", I),
        ("equals", "9.3", "9.4", R),
        ("equals", "10.6", "11", R),
        ("attainable", "9.5", "10.5", C),
        ("attainable", "9.4", "9.5", C),
        ("attainable", "9", "11", C),
        ("attainable", "9.3", "9.4", R),
        ("attainable", "10.6", "11", R),
    ],
)
def test_each_bound_at_its_edges(kind, low, high, status):
    """An edge belongs to every bound but the strict ones; an attainable bound only asks that intervals meet."""
    verdict = judge(of_kind(kind), seen(Fraction(low), Fraction(high)))
    assert (verdict.status, verdict.reason) == (status, REASONS[status])


@pytest.mark.parametrize(
    ("kind", "value", "margin"),
    [
        ("at_most", 8, 2),
        ("at_most", 13, -3),
        ("above", 13, 3),
        ("above", 10, 0),
        ("at_least", 8, -2),
        ("between", 9.25, 0.25),
        ("between", 12, -2),
        ("equals", 10, 0.5),
        ("equals", 11, -0.5),
    ],
)
def test_the_margin_is_the_distance_to_the_nearest_bound(kind, value, margin):
    """It is positive inside and negative outside."""
    assert judge(of_kind(kind), certain(value, Scope.EXACT)).margin == margin


def test_a_float_measurement_is_compared_exactly():
    """The binary number nearest to 0.1 lies above 0.1, and a bound of 0.1 sees that."""
    tenth = claim(at_most="0.1")
    assert judge(tenth, certain(0.1, Scope.MEASURED)).status is R
    assert judge(tenth, certain(Fraction(1, 10), Scope.EXACT)).status is C


@settings(deadline=None)  # a loaded machine is no fault of the verdict
@given(kind=st.sampled_from(KINDS), ends=st.tuples(numbers, numbers))
def test_a_measurement_that_touches_no_point_of_the_bound_is_refuted_and_no_other_is(kind, ends):
    """Refuted means that not one value of the interval satisfies the bound."""
    low, high = sorted(ends)
    least, most = of_kind(kind).bounds()
    start = low if least is None else max(low, least)
    end = high if most is None else min(high, most)
    touches = start < end if kind in ("below", "above") and low < high else start <= end
    if kind in ("below", "above") and low == high:
        touches = low != 10 and start <= end
    assert (judge(of_kind(kind), seen(low, high)).status is R) is (not touches)


@settings(deadline=None)  # a loaded machine is no fault of the verdict
@given(kind=st.sampled_from(KINDS), ends=st.tuples(numbers, numbers), beyond=st.fractions(min_value=Fraction(1, 1000)))
def test_an_interval_moved_out_of_the_bound_is_never_confirmed(kind, ends, beyond):
    """However wide the interval, once it has left the bound the claim is refuted."""
    low, high = sorted(ends)
    least, most = of_kind(kind).bounds()
    shift = most + beyond - low if most is not None else least - beyond - high
    assert judge(of_kind(kind), seen(low + shift, high + shift)).status is R


@settings(deadline=None)  # a loaded machine is no fault of the verdict
@given(
    kind=st.sampled_from(sorted(set(KINDS) - {"attainable"})), ends=st.tuples(numbers, numbers), wider=st.fractions(0)
)
def test_less_certainty_never_turns_one_decision_into_the_other(kind, ends, wider):
    """A wider interval gives the same verdict or none."""
    low, high = sorted(ends)
    sharp, blunt = (judge(of_kind(kind), seen(low - w, high + w)).status for w in (0, wider))
    assert blunt in (sharp, I)


@settings(deadline=None)  # a loaded machine is no fault of the verdict
@given(kind=st.sampled_from(KINDS), value=numbers)
def test_an_exact_value_is_always_decided(kind, value):
    """A measurement without spread is confirmed or refuted."""
    assert judge(of_kind(kind), certain(value, Scope.EXACT)).status in (C, R)
