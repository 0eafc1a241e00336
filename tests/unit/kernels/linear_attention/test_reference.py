"""Linear attention equals its weights written out as a matrix."""

import pytest
import torch
from torch import Tensor

from kernels.linear_attention import linear_attention
from kernels.linear_attention.reference import CHUNK

SIZES = [1, 7, 129, 300]


def inputs(n: int, dtype: torch.dtype = torch.float64, d: int = 5, e: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Return positive features and values of 2 x 3 sequences of `n` tokens."""
    generator = torch.Generator().manual_seed(n)
    q, k = (torch.rand(2, 3, n, d, dtype=dtype, generator=generator) + 0.1 for _ in range(2))
    return q, k, torch.randn(2, 3, n, e, dtype=dtype, generator=generator)


def matrix(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Return the same attention with its N x N weights written out."""
    weights = torch.einsum("bhnd,bhmd->bhnm", q, k)
    if causal:
        weights = torch.where(torch.arange(q.shape[2])[:, None] >= torch.arange(q.shape[2]), weights, 0)
    return torch.einsum("bhnm,bhme->bhne", weights / weights.sum(-1, keepdim=True), v)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [*SIZES, CHUNK, CHUNK + 1])
def test_it_equals_the_matrix_written_out(n, causal):
    """Both forms give one result, to float64 rounding, below, at and above the chunk."""
    q, k, v = inputs(n)
    torch.testing.assert_close(linear_attention(q, k, v, causal=causal), matrix(q, k, v, causal=causal))


@pytest.mark.parametrize("causal", [False, True])
def test_strides_do_not_matter(causal):
    """Heads that were transposed out of a projection give what their contiguous copies give."""
    q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs(130))
    assert not q.is_contiguous()
    whole = linear_attention(*(x.contiguous() for x in (q, k, v)), causal=causal)
    torch.testing.assert_close(linear_attention(q, k, v, causal=causal), whole)


@pytest.mark.parametrize("shape", [(), (4,), (2, 1, 3)])
def test_any_number_of_leading_dimensions_will_do(shape):
    """One sequence gives the same output alone and anywhere in a batch."""
    alone = [x[0, 0] for x in inputs(7)]
    batched = [x.expand(*shape, *x.shape) for x in alone]
    out = linear_attention(*alone, causal=True)
    torch.testing.assert_close(linear_attention(*batched, causal=True), out.expand(*shape, *out.shape))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [3, CHUNK + 2])
def test_gradients_are_those_of_finite_differences(n, causal):
    """Every gradient passes gradcheck in float64, across a chunk boundary too."""
    q, k, v = (x[0, 0, :, :2].clone().requires_grad_() for x in inputs(n))
    assert torch.autograd.gradcheck(lambda *x: linear_attention(*x, causal=causal), (q, k, v), fast_mode=n > CHUNK)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_weights_sum_to_one(n, causal):
    """Values of one give an output of one."""
    q, k, v = inputs(n)
    out = linear_attention(q, k, torch.ones_like(v), causal=causal)
    torch.testing.assert_close(out, torch.ones_like(v))


@pytest.mark.parametrize("n", SIZES)
def test_a_causal_token_does_not_see_later_ones(n):
    """Whatever follows a token, its output keeps every bit."""
    q, k, v = inputs(n)
    cut = n // 2 + 1
    later = (torch.cat([x[:, :, :cut], 9 * torch.rand_like(x[:, :, cut:])], 2) for x in (q, k, v))
    before, after = linear_attention(q, k, v, causal=True), linear_attention(*later, causal=True)
    torch.testing.assert_close(after[:, :, :cut], before[:, :, :cut], rtol=1e-13, atol=1e-13)


def test_the_first_causal_token_keeps_its_value():
    """It sees itself alone."""
    q, k, v = inputs(7)
    torch.testing.assert_close(linear_attention(q, k, v, causal=True)[:, :, 0], v[:, :, 0])


def test_without_a_mask_every_token_is_seen():
    """The last token's value reaches the first token's output."""
    q, k, v = inputs(7)
    changed = v.clone()
    changed[:, :, -1] += 1
    assert (linear_attention(q, k, changed) - linear_attention(q, k, v))[:, :, 0].abs().min() > 0


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_lower_precision_is_kept_and_stays_near(dtype, causal):
    """Sums over 300 positive features, each rounded, stay within 8 roundings of the float64 result."""
    q, k, v = (x.to(dtype) for x in inputs(300))
    out = linear_attention(q, k, v, causal=causal)
    exact = linear_attention(q.double(), k.double(), v.double(), causal=causal)
    assert out.dtype is dtype
    assert (out.double() - exact).abs().max() < 8 * torch.finfo(dtype).eps
