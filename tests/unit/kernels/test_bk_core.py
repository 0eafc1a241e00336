"""The resolvent's diagonal: the definition is the dense inverse's, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import bk_core
from kernels.bk_core import _check, autograd, reference, sizes
from kernels.bk_core.cases import CASES
from kernels.case import excesses

K = CASES[0].k


@pytest.fixture(autouse=True)
def launch(monkeypatch):
    """Threads of 4 rows, two to a segment, so that a short matrix needs several."""
    from kernels.bk_core import launch

    monkeypatch.setattr(sizes, "ROWS", 4)
    monkeypatch.setattr(launch, "FEWEST", 2)
    return launch


def inputs(n, dtype=torch.float32):
    """Two matrices of n rows whose fractions are sure to exist."""
    return CASES[0].make_inputs.func(2, n, "cpu", dtype, 0)


def of_any_sign(n):
    """Random b and c, double precision: no product is sure to be positive."""
    random = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(2, m, generator=random, dtype=torch.float64) for m in (n, n - 1, n - 1))
    return a, b, c, torch.tensor([0.3 + 0.5j, -1.0 - 0.2j], dtype=torch.complex128)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_the_definition_is_the_diagonal_of_the_dense_inverse(n):
    """For products b c of any sign."""
    a, b, c, z = of_any_sign(n)
    dense = torch.diag_embed(a) + torch.diag_embed(b, 1) + torch.diag_embed(c, -1)
    inverse = torch.linalg.inv(dense - z[:, None, None] * torch.eye(n))
    torch.testing.assert_close(bk_core(a, b, c, z), inverse.diagonal(dim1=-2, dim2=-1))


def test_the_definition_has_the_gradients_of_finite_differences():
    """For a, b, c and z, in double precision."""
    assert torch.autograd.gradcheck(bk_core, [x.requires_grad_() for x in of_any_sign(5)])


def test_the_gradient_for_the_diagonal_is_the_sum_of_products_of_entries():
    """dL/da_j = -sum_i g_i G_ij G_ji for real g; only its real part reaches a real a."""
    a, b, c, z = of_any_sign(6)
    dense = torch.diag_embed(a) + torch.diag_embed(b, 1) + torch.diag_embed(c, -1)
    entries = torch.linalg.inv(dense - z[:, None, None] * torch.eye(6))
    bk_core(a.requires_grad_(), b, c, z).real.sum().backward()
    torch.testing.assert_close(a.grad, -(entries * entries.mT).sum(-2).real)


@pytest.mark.parametrize(
    ("n", "dtype"), [(1, torch.float32), (8, torch.float32), (21, torch.float32), (18, torch.bfloat16)]
)
def test_the_kernel_agrees_with_the_definition(n, dtype):
    """G and every gradient, in one segment and in several, whole ones and not."""
    found = excesses(bk_core, reference.bk_core, inputs(n, dtype))
    assert all(ratio <= K for ratio in found.values()), found


def test_a_row_may_have_more_segments_than_the_lanes_that_join_them(launch, monkeypatch):
    """Then each lane joins a few of them first: five or six, on two lanes forward and twice one backward."""
    monkeypatch.setattr(launch, "LANES", 2)
    found = excesses(bk_core, reference.bk_core, inputs(42))
    assert all(ratio <= K for ratio in found.values()), found


def test_a_long_row_has_larger_segments(launch, monkeypatch):
    """Until there are more than the programs may be large; every row of T is in one."""
    assert launch.cut(42) == (2, 6)
    monkeypatch.setattr(launch, "SEGMENTS", 2)
    assert launch.cut(42) == (8, 2)
    monkeypatch.setattr(launch, "MOST", 4)
    assert launch.cut(42) == (4, 3)
    found = excesses(bk_core, reference.bk_core, inputs(42))
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_agrees_where_products_have_any_sign():
    """There no theorem bounds the pivots; these are well away from zero."""
    given = dict(zip("abcz", of_any_sign(18), strict=True))
    given = {name: x.to(torch.complex64 if name == "z" else torch.float32) for name, x in given.items()}
    found = excesses(bk_core, reference.bk_core, given)
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_takes_strided_inputs():
    """A transposed view is no special case."""
    given = {name: x.mT.contiguous().mT if x.dim() > 1 else x for name, x in inputs(17).items()}
    assert not given["a"].is_contiguous()
    found = excesses(bk_core, reference.bk_core, given)
    assert all(ratio <= K for ratio in found.values()), found


def test_one_z_serves_the_whole_batch():
    """Its gradient is the sum over the batch."""
    given = inputs(3)
    z = given["z"][0].requires_grad_()
    result = bk_core(given["a"], given["b"], given["c"], z)
    result.real.sum().backward()
    torch.testing.assert_close(result, bk_core(given["a"], given["b"], given["c"], z.detach().repeat(2)))
    assert z.grad.shape == ()


@pytest.mark.parametrize("n", [3, 4, 8])
def test_a_matrix_that_falls_apart_is_two_matrices(n):
    """A zero off the diagonal starts the fractions afresh: within a thread's rows, between threads and segments."""
    given = inputs(n + 9)
    given["b"][:, n - 1] = 0
    a, b, c, z = given.values()
    left = bk_core(a[:, :n], b[:, : n - 1], c[:, : n - 1], z)
    right = bk_core(a[:, n:], b[:, n:], c[:, n:], z)
    torch.testing.assert_close(bk_core(a, b, c, z), torch.cat((left, right), dim=-1))


@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero):RuntimeWarning")  # the interpreter's NumPy
def test_a_vanishing_pivot_is_not_hidden():
    """[[0, 1], [1, 0]] has an inverse, but its first pivot is zero when z = 0."""
    a, b = torch.zeros(1, 2), torch.ones(1, 1)
    assert not bk_core(a, b, b, torch.zeros(1, dtype=torch.complex64)).isfinite().any()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the interpreter's NumPy
def test_a_nan_is_in_all_of_its_own_row():
    """And in no other: forward and backward, as in the definition."""
    given = inputs(20)
    given["a"][0, 9] = torch.nan
    given = {name: x.requires_grad_() for name, x in given.items()}
    result = bk_core(**given)
    gradients = torch.autograd.grad(result.abs().sum(), list(given.values()))
    for x in (result, *gradients):
        assert x[0].isnan().all()
        assert x[1].isfinite().all()


def test_the_operator_meets_every_contract_of_a_custom_operator():
    """Schema, fake rule and autograd registration; tracing runs the interpreter too often for a unit test."""
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(autograd.bk_core, [x.requires_grad_() for x in inputs(5).values()], test_utils=checks)


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision gives complex64."""
    with FakeTensorMode():
        a, b = torch.empty(4, 99, dtype=torch.bfloat16), torch.empty(4, 98, dtype=torch.bfloat16)
        result = bk_core(a, b, b, torch.empty(4, dtype=torch.complex64))
    assert (result.shape, result.dtype) == (a.shape, torch.complex64)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"a": torch.ones(2, 0)}, "a of shape .* has no element"),
        ({"b": torch.ones(2, 3)}, r"b is torch.float32 \(2, 3\), but a asks for torch.float32 \(2, 2\)"),
        ({"c": torch.ones(2, 2).half()}, "c is torch.float16"),
        ({"z": torch.ones(2)}, "z is torch.float32"),
        ({"z": torch.ones(3, dtype=torch.complex64)}, r"z is torch.complex64 \(3,\)"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(changes, said):
    """What was given, and what is asked for."""
    with pytest.raises(ValueError, match=said):
        _check(**{**inputs(3), **changes})
