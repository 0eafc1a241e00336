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


class Needs(Budget):
    """The same, with the bytes that a size needs: a constant and a power of it, of which a share is not given out."""

    def __init__(self, edge: int, power: float = 2.0, constant: int = 0) -> None:
        super().__init__(edge)
        self.power, self.constant = power, constant

    def bytes(self, size: int) -> int:
        return int(self.constant + 1000 * size**self.power)

    def __call__(self, size: int) -> tuple[bool, int]:
        return super().__call__(size), self.bytes(size)


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES, EDGES, st.sampled_from([1.0, 1.5, 2.0]), st.integers(0, 10**9))
def test_the_largest_multiple_that_fits_is_found(step, edge, start, power, constant):
    """Wherever the edge lies between two of them, and wherever the search begins."""
    needs = Needs(edge * step + constant % step, power, constant)
    assert largest(needs, needs.bytes(edge * step), start * step, step) == edge * step


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, EDGES, EDGES)
def test_only_multiples_of_the_step_are_looked_at(step, edge, start):
    """No other size can be built; none is looked at twice."""
    needs = Needs(edge * step)
    largest(needs, needs.bytes(edge * step), start * step, step)
    assert {size % step for size in needs.looks} == {0}
    assert len(set(needs.looks)) == len(needs.looks)


@settings(deadline=None)  # a loaded machine is no fault of the search
@given(STEPS, st.integers(50, 5000), st.integers(50, 5000), st.integers(0, 4))
def test_bytes_that_grow_as_a_power_take_few_looks(step, edge, start, lost):
    """Even where the allocator loses the bytes of a few steps."""
    needs = Needs(edge * step)
    largest(needs, needs.bytes((edge + lost) * step), start * step, step)
    assert len(needs.looks) <= 12


def test_a_search_in_which_nothing_fits_is_refused_in_one_line():
    """It says how small a size was tried."""
    with pytest.raises(UsageError) as caught:
        largest(Needs(7), 100, 80, 8)
    assert str(caught.value) == "not even the smallest size, 8, fits the budget; allow more memory"


def test_a_budget_in_which_nothing_fits_is_refused_in_one_line():
    """Measuring, too."""
    with pytest.raises(UsageError) as caught:
        confirmed(Budget(7), 80, 8)
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
