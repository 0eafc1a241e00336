"""The documents' memory figures beside a prediction for their card and a measurement."""

from decimal import Decimal

import pytest

from muse.claims.claim import Expect, Scope
from muse.reporting.memory import table
from muse.reporting.view import build

CARD = {"given": {"card": "rtx3080-laptop"}}


@pytest.fixture
def memory(stated, found):
    """The table of one printed figure, predicted and measured at these values in GiB."""

    def of(printed, predicted, measured, unit="GiB"):
        base = stated("d/peak", documented=Decimal(printed), unit=unit, **CARD)  # a case's words are both claims'
        forecast = stated(
            "d/forecast", beside="d/peak", documented=None, unit=unit, expect=Expect(equals=Decimal(printed)), **CARD
        )
        records = [found(forecast, predicted, scope=Scope.PREDICTED), found(base, measured)]
        return table(build(records, lambda _: False, {}).documents)

    return of


def only(found):
    """The single line of the single document."""
    [(_, [line])] = found.parts
    return line


def test_a_figure_stands_beside_its_prediction_and_its_measurement(memory):
    """Each with its own distance, in per cent of what is printed."""
    found = memory("5.80", 5.742, 6.09)
    line = only(found)
    assert (found.cards, found.gpus) == ("rtx3080-laptop", "NVIDIA H100 80GB HBM3")
    assert [taken.off for taken in (line.predicted, line.measured)] == ["−1.0", "5.0"]  # noqa: RUF001  a true minus


@pytest.mark.parametrize(("value", "rounds"), [(5.7951, True), (5.8049, True), (5.7949, False), (5.8051, False)])
def test_what_rounds_to_the_printed_figure_is_told(memory, value, rounds):
    """To as many decimals as are printed."""
    assert only(memory("5.80", value, 5.80)).predicted.rounds is rounds


def test_a_printed_zero_has_no_distance(memory):
    """It is met or it is not."""
    line = only(memory("0.00", 0.004, 0.006))
    assert [(taken.rounds, taken.off) for taken in (line.predicted, line.measured)] == [(True, ""), (False, "")]


def test_figures_of_anything_but_memory_are_left_out(memory):
    """So is the table, where there is no other."""
    assert memory("3", 3, 3, unit="count") is None
