"""The exponent of a power law, with an interval that means something."""

import random

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.claims.verdict import judge
from muse.errors import Unmeasured
from muse.probes.slope import slope

SIZES = [512, 1024, 2048, 4096, 8192, 16384]


@pytest.mark.parametrize("exponent", [1, 2])
def test_an_exact_power_law_gives_its_exponent(exponent):
    """With no noise the interval is the value."""
    found = slope(SIZES, [3 * n**exponent for n in SIZES], Scope.EXACT)
    assert [found.low, found.value, found.high] == pytest.approx([exponent] * 3)


def test_a_constant_part_is_taken_off():
    """6e9 + 1e6 N grows as N once the measured constant is subtracted."""
    found = slope(SIZES, [6e9 + 1e6 * n for n in SIZES], Scope.MEASURED, baseline=6e9)
    assert [found.low, found.value, found.high] == pytest.approx([1] * 3)


def test_a_constant_part_that_is_left_in_hides_the_growth():
    """Without the baseline the same linear figures would be told as less than a half."""
    assert slope(SIZES, [6e9 + 1e6 * n for n in SIZES], Scope.MEASURED).value < 0.5


def test_growth_that_is_small_beside_its_baseline_is_not_judged():
    """A few per cent above a constant carry no exponent."""
    with pytest.raises(Unmeasured) as caught:
        slope(SIZES, [6e9 + 1e4 * n for n in SIZES], Scope.MEASURED, baseline=6e9)
    assert caught.value.reason == "baseline_dominates"


@pytest.mark.parametrize("first", [5e9, 6e9])
def test_a_value_that_does_not_exceed_its_baseline_is_not_judged(first):
    """A logarithm of nothing, or of less, is no growth."""
    with pytest.raises(Unmeasured) as caught:
        slope(SIZES, [first, *(6e9 + 1e6 * n for n in SIZES[1:])], Scope.MEASURED, baseline=6e9)
    assert caught.value.reason == "baseline_dominates"


@pytest.mark.parametrize("seed", range(5))
def test_noise_widens_the_interval_around_the_truth(seed):
    """Five per cent of noise on N^1.5 leaves 1.5 inside an interval that is not a point."""
    noise = random.Random(seed)
    found = slope(SIZES, [n**1.5 * noise.uniform(0.95, 1.05) for n in SIZES], Scope.MEASURED)
    assert found.low < 1.5 < found.high


def test_one_outlier_does_not_move_the_slope():
    """A median of pairs ignores one hiccup, where a least-squares line would follow it."""
    values = [n**2 for n in SIZES]
    values[2] *= 3
    assert slope(SIZES, values, Scope.MEASURED).value == pytest.approx(2, abs=0.05)


def test_quadratic_values_refute_a_linear_claim(a_claim):
    """O(N) within a tenth is refuted by N^2 and by nothing in its interval confirmed."""
    claim = a_claim("attention_operations", "slope", "order", expect=Expect(between=("0.9", "1.1")))
    assert judge(claim, slope(SIZES, [n**2 for n in SIZES], Scope.EXACT)).status is Status.REFUTED
    assert judge(claim, slope(SIZES, SIZES, Scope.EXACT)).status is Status.CONFIRMED


def test_the_points_and_the_baseline_are_part_of_the_measurement():
    """A reader can fit them again."""
    found = slope(SIZES, [2 * n + 5 for n in SIZES], Scope.MEASURED, baseline=5)
    assert found.how["points"] == [[n, float(2 * n + 5)] for n in SIZES]
    assert found.how["baseline"] == 5.0
    assert list(found.samples) == [2.0 * n for n in SIZES]
