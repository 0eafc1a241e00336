"""The largest size that fits is found, in few looks, and a wrong prediction only costs more of them."""

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse.errors import UsageError
from muse.memory.fit import confirmed, largest

STEPS = st.integers(1, 64)
EDGES = st.integers(1, 5000)
"""The edge, in steps."""


class Budget:
    """Sizes up to the edge fit; every look is noted."""

    def __init__(self, edge: int) -> None:
        self.edge = edge
        self.looks: list[int] = []

    def __call__(self, size: int) -> bool:
        self.looks.append(size)
        return size <= self.edge


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES, st.integers(0, 63))
def test_the_largest_multiple_that_fits_is_found(step, edge, rest):
    """Wherever the edge lies between two of them."""
    assert largest(Budget(edge * step + rest % step), step) == edge * step


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES)
def test_only_multiples_of_the_step_are_looked_at(step, edge):
    """No other size can be built; none is looked at twice."""
    budget = Budget(edge * step)
    largest(budget, step)
    assert {size % step for size in budget.looks} == {0}
    assert len(set(budget.looks)) == len(budget.looks)


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES)
def test_the_looks_are_as_many_as_twice_the_doublings(step, edge):
    """Up by doubling, and back by halving."""
    budget = Budget(edge * step)
    largest(budget, step)
    assert len(budget.looks) <= 2 * (log2(edge) + 1)


@pytest.mark.parametrize("search", [largest, lambda fits, step: confirmed(fits, 10 * step, step)])
def test_a_budget_in_which_nothing_fits_is_refused_in_one_line(search):
    """It says how small a size was tried."""
    with pytest.raises(UsageError) as caught:
        search(Budget(7), 8)
    assert str(caught.value) == "not even the smallest size, 8, fits the budget; allow more memory"


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES, EDGES)
def test_the_edge_is_confirmed_whatever_was_predicted(step, edge, predicted):
    """What fits, and whose successor does not."""
    budget = Budget(edge * step)
    assert confirmed(budget, predicted * step, step) == edge * step
    assert {edge * step, (edge + 1) * step} <= set(budget.looks)


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES)
def test_a_right_prediction_costs_two_looks(step, edge):
    """The size itself, and the one above it."""
    budget = Budget(edge * step)
    confirmed(budget, edge * step, step)
    assert budget.looks == [edge * step, (edge + 1) * step]


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, st.integers(50, 5000), st.integers(-40, 40))
def test_a_near_prediction_costs_a_few_looks(step, edge, off):
    """As many as doublings lead there and back."""
    budget = Budget(edge * step)
    confirmed(budget, (edge + off) * step, step)
    assert len(budget.looks) <= 2 * (log2(abs(off) + 1) + 2)
