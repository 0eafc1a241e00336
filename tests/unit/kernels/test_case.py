"""The rule by which a kernel agrees with its definition or does not."""

import math

import pytest
import torch

from kernels.case import excess, excesses


def square(x):
    """The definition of an operator."""
    return x * x


def test_the_excess_is_the_error_in_units_of_the_definitions_own():
    """Twice as far from the truth is an excess of two."""
    exact = torch.tensor([1.0, 100.0], dtype=torch.float64)
    plain, got = torch.tensor([1.5, 100.0]), torch.tensor([1.0, 101.0])
    assert excess(got, plain, exact) == 2


def test_the_definitions_error_counts_as_one_rounding_at_least():
    """Or a definition that is exact by luck would forbid any rounding."""
    exact = torch.tensor([1.0], dtype=torch.float64)
    got = torch.tensor([1 + 3 * 2.0**-23])
    assert excess(got, exact.float(), exact) == 3


def test_a_result_without_error_has_no_excess():
    """Even where everything is zero."""
    zero = torch.zeros(2)
    assert excess(zero, zero, zero.double()) == 0
    assert excess(torch.ones(2), zero, zero.double()) == math.inf


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_within_no_bound(broken):
    """One unwritten element is enough."""
    ones = torch.ones(3)
    assert not excess(torch.tensor([1.0, broken, 1.0]), ones, ones.double()) <= 1e30


@pytest.mark.parametrize("got", [torch.ones(1), torch.ones(2).half()])
def test_another_shape_or_dtype_is_refused(got):
    """Broadcasting or a conversion would hide it."""
    with pytest.raises(ValueError, match="cannot stand for"):
        excess(got, torch.ones(2), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_an_operator_agrees_with_itself(dtype):
    """Its output and its gradient are compared, each under its name."""
    found = excesses(square, square, {"x": torch.randn(5, dtype=dtype)})
    assert list(found) == ["out0", "dx"]
    assert all(ratio <= 1 for ratio in found.values())


def test_a_wrong_gradient_is_found_where_the_output_is_right():
    """A detached factor halves it."""
    found = excesses(lambda x: x * x.detach(), square, {"x": torch.randn(5)})
    assert found["out0"] <= 1
    assert found["dx"] > 1000


def test_what_is_no_floating_tensor_is_passed_on():
    """Indices and options are not differentiated."""
    found = excesses(
        torch.index_select, torch.index_select, {"input": torch.randn(3), "dim": 0, "index": torch.tensor([1])}
    )
    assert list(found) == ["out0", "dinput"]


def test_forward_alone_differentiates_nothing():
    """A wrong gradient is none of its business, nor is the time that the right one takes."""
    assert list(excesses(lambda x: (x * x).detach(), square, {"x": torch.randn(5)}, backward=False)) == ["out0"]
