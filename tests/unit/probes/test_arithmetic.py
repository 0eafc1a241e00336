"""A printed number stands for every number that rounds to it; the result is an interval."""

from decimal import Decimal
from fractions import Fraction

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.claims.verdict import judge
from muse.probes.arithmetic import OPERATIONS
from muse.probes.given import OfArithmetic


@pytest.fixture
def result(ask):
    """The result of an operation on operands as they are printed, in the unit's base."""

    def of(operation: str, *operands: str, unit: str = "percent"):
        numbers = [int(x) if x.lstrip("-").isdigit() else Decimal(x) for x in operands]
        return ask("arithmetic", "result", unit, operation=operation, operands=numbers)

    return of


@pytest.mark.parametrize(
    ("operation", "operands", "unit", "value"),
    [
        ("value", ["17.29"], "percent", Fraction(1729, 100)),
        ("sum", ["5.75", "0.06"], "GiB", Fraction(581, 100) * 2**30),
        ("difference", ["5.75", "5.74"], "GB", Fraction(10**7)),
        ("change", ["5.75", "5.74"], "percent", Fraction(1, 574)),
        ("product", ["3072", "50257"], "count", Fraction(3072 * 50257)),
        ("product", ["1.5", "2"], "GiB", Fraction(3) * 2**30),
        ("bytes", ["2049024", "2"], "MB", Fraction(4098048)),
        ("ratio", ["5.75", "1.15"], "times", Fraction(5)),
        ("reduction", ["1", "8"], "percent", Fraction(7, 8)),
        ("distinct", ["3.08", "2.57", "3.08"], "count", Fraction(2)),
    ],
)
def test_the_value_is_exact_arithmetic_on_the_printed_operands(result, operation, operands, unit, value):
    """Fractions, not floats: 5.75 - 5.74 is exactly a hundredth."""
    assert result(operation, *operands, unit=unit).value == value


def test_every_operation_is_tested_above():
    """A new operation needs a row of its own."""
    tested = {"value", "sum", "difference", "product", "bytes", "ratio", "change", "reduction", "distinct"}
    assert set(OPERATIONS) == tested


def test_a_decimal_operand_stands_for_its_rounding_interval(result):
    """0.06 / 0.07 - 1 may be anything from -26.7 % to 0 %: the operands' two decimals leave that room."""
    found = result("change", "0.06", "0.07")
    assert (found.low, found.high) == (Fraction(55, 75) - 1, Fraction(0))


def test_a_whole_operand_stands_for_itself(result):
    """1/4 is a ratio of definitions, not of measurements."""
    found = result("reduction", "1", "4")
    assert found.low == found.value == found.high == Fraction(3, 4)


def test_a_trailing_zero_narrows_the_interval(result):
    """5.80 is known to a hundredth, 5.8 only to a tenth."""
    wide, narrow = result("sum", "5.8", unit="times"), result("sum", "5.80", unit="times")
    assert (wide.high - wide.low, narrow.high - narrow.low) == (Fraction(1, 10), Fraction(1, 100))


def test_the_interval_holds_every_result_that_the_operands_allow(result):
    """A grid of operands inside their intervals never leaves the interval of the result."""
    found = result("change", "5.75", "5.74")
    grid = [Fraction(n, 10000) for n in range(-50, 51, 10)]
    every = [(Fraction(575, 100) + a - Fraction(574, 100) - b) / (Fraction(574, 100) + b) for a in grid for b in grid]
    assert (found.low, found.high) == (min(every), max(every))


@pytest.mark.parametrize(
    ("operation", "operands"), [("difference", [1]), ("change", [1]), ("value", [1, 2]), ("ratio", [1])]
)
def test_a_wrong_number_of_operands_is_malformed(operation, operands):
    """The ledger refuses it, before anything is measured."""
    with pytest.raises(ValueError, match=f"{operation} takes"):
        OfArithmetic(operation=operation, operands=operands)


@pytest.mark.parametrize("operation", ["change", "reduction", "ratio"])
def test_a_share_of_nothing_is_malformed(operation):
    """A figure relative to 0 has no value."""
    with pytest.raises(ValueError, match="second operand, which is 0"):
        OfArithmetic(operation=operation, operands=[1, 0])


def test_the_evidence_is_exact(result):
    """Nothing was measured and nothing predicted."""
    assert result("sum", "1.0").scope is Scope.EXACT


def test_one_altered_digit_of_an_operand_turns_the_verdict(a_claim, result):
    """5.75 + 0.06 gives 5.81 within rounding; 5.65 + 0.06 does not."""
    claim = a_claim("arithmetic", "result", "GiB", expect=Expect(attainable=Decimal("5.81")), protocol="documented")
    assert judge(claim, result("sum", "5.75", "0.06", unit="GiB")).status is Status.CONFIRMED
    assert judge(claim, result("sum", "5.65", "0.06", unit="GiB")).status is Status.REFUTED


@pytest.mark.parametrize(
    ("id_", "operands"),
    [
        ("phase7_vs_phase8/breakdown_sum[maximum]", ["5.75", "0.16"]),
        ("phase7_vs_phase8/model_difference_arithmetic[large]", ["4.81", "4.71"]),
        ("phase7_vs_phase8_final/activation_advantage", ["0.06", "0.17"]),
        ("phase7_vs_phase8_final/gpu_memory", ["8689410304"]),
        ("phase7_vs_phase8/four_configurations", ["3.08", "2.57", "1.54", "1.54"]),
    ],
)
def test_one_altered_digit_turns_a_claim_of_the_real_ledger(real_ledger, result, id_, operands):
    """The documents' own figures confirm it, and a slip of one digit in them would have refuted it."""
    [claim] = [claim for claim in real_ledger.claims if claim.id == id_]
    given = claim.given
    same = result(given["operation"], *map(str, given["operands"]), unit=claim.unit)
    altered = result(given["operation"], *operands, unit=claim.unit)
    assert [judge(claim, found).status for found in (same, altered)] == [Status.CONFIRMED, Status.REFUTED]
