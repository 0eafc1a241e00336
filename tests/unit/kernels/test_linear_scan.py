"""The linear recurrence: the definition is right, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import dispatch, linear_scan
from kernels.case import excesses
from kernels.linear_scan import _check, autograd, reference
from kernels.linear_scan.cases import CASES

K = CASES[0].k


@pytest.fixture
def short_blocks(monkeypatch):
    """Blocks of 16 steps, so that a short row needs several."""
    from kernels.linear_scan import kernel

    monkeypatch.setattr(kernel, "BLOCK", 16)


def inputs(n, dtype, seed=0):
    """Four rows of n steps."""
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(2, 2, n, generator=random, dtype=dtype) for _ in range(2))
    return {"a": 0.7 * a, "b": b, "initial": torch.randn(2, 2, generator=random, dtype=dtype)}


def as_matrix(a, b, initial):
    """The same states from the explicit lower-triangular matrix of products of factors."""
    n = b.shape[-1]
    h = torch.zeros_like(b)
    for t in range(n):
        h[..., t] = a[..., : t + 1].prod(-1) * initial
        for s in range(t + 1):
            h[..., t] += a[..., s + 1 : t + 1].prod(-1) * b[..., s]
    return h


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_definition_is_a_product_with_the_matrix_of_products(dtype):
    """Row t holds the products of the factors after s and up to t."""
    given = inputs(9, dtype)
    torch.testing.assert_close(linear_scan(**given), as_matrix(**given))


def test_reverse_is_the_scan_of_the_flipped_sequence():
    """Flipped back."""
    given = inputs(9, torch.float64)
    flipped = linear_scan(given["a"].flip(-1), given["b"].flip(-1), given["initial"]).flip(-1)
    torch.testing.assert_close(linear_scan(**given, reverse=True), flipped)


def test_without_factors_the_scan_is_the_cumulative_sum():
    """As PyTorch computes it."""
    b = inputs(9, torch.float64)["b"]
    torch.testing.assert_close(linear_scan(None, b), b.cumsum(-1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_definition_has_the_gradients_of_finite_differences(dtype, reverse):
    """For factors, increments and initial state, in double precision."""
    given = [x.requires_grad_() for x in inputs(4, dtype).values()]
    assert torch.autograd.gradcheck(lambda *x: linear_scan(*x, reverse=reverse), given)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [1, 37])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.complex64])
def test_the_kernel_agrees_with_the_definition(short_blocks, dtype, n, reverse):
    """States and every gradient, in one block and in several."""
    found = excesses(linear_scan, reference.linear_scan, {**inputs(n, dtype), "reverse": reverse})
    assert all(ratio <= K for ratio in found.values()), found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_the_kernel_agrees_on_the_cumulative_sum(short_blocks, dtype, reverse):
    """Without factors the kernel reads the increments alone."""
    found = excesses(linear_scan, reference.linear_scan, {**inputs(37, dtype), "a": None, "reverse": reverse})
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_takes_strided_inputs(short_blocks):
    """A transposed view is no special case."""
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 21, 3, generator=random).mT for _ in range(2))
    found = excesses(linear_scan, reference.linear_scan, {"a": a, "b": b, "initial": torch.ones(3, 2).mT})
    assert all(ratio <= K for ratio in found.values()), found


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_the_operator_meets_every_contract_of_a_custom_operator(short_blocks, dtype):
    """Schema, fake rule, autograd registration and tracing."""
    given = [x.requires_grad_() for x in inputs(3, dtype).values()]
    torch.library.opcheck(autograd.linear_scan, given, {"reverse": False})


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        a, b = torch.empty(4, 5, 99, dtype=torch.bfloat16), torch.empty(4, 5, 99, dtype=torch.bfloat16)
        h = linear_scan(a, b)
    assert (h.shape, h.dtype) == (b.shape, b.dtype)


def test_double_precision_is_the_definitions():
    """The kernels add up in float32."""
    assert dispatch.implementation(torch.ones(1)) == "triton"
    assert dispatch.implementation(torch.ones(1, dtype=torch.float64)) == "reference"


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (None, torch.ones(3, 0), "has no element to scan"),
        (torch.ones(2, 4), torch.ones(2, 3), r"a is torch.float32 \(2, 4\), but b asks for torch.float32 \(2, 3\)"),
        (torch.ones(2, 3).half(), torch.ones(2, 3), "a is torch.float16"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(a, b, said):
    """What was given, and what is asked for."""
    with pytest.raises(ValueError, match=said):
        _check(a, b, b[..., 0] if b.numel() else b)
