"""Attention by hyperbolic distance: the definition is right, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import hyperbolic_attention
from kernels.case import excesses
from kernels.hyperbolic_attention import autograd, reference
from kernels.hyperbolic_attention.cases import CASES

K = CASES[0].k
K_OF_ONE_NUMBER = 32
"""For the gradients of beta and the curvature: the definition's own error in a single sum can be small by chance."""


@pytest.fixture
def tiles(monkeypatch):
    """Tiles of 16 queries and 16 keys."""
    from kernels.hyperbolic_attention import launch

    for name in ("TILE_Q", "TILE_K", "TILE_BACK"):
        monkeypatch.setattr(launch, name, 16)


def inputs(n, dtype=torch.float32, d=5, e=3, keys=None, batch=(1,), radius=0.9):
    """Points within a radius of the ball of curvature -0.7, beta and the curvature."""
    random = torch.Generator().manual_seed(n)
    q, k, v = (
        torch.randn(*batch, rows, width, generator=random, dtype=torch.float64)
        for rows, width in ((n, d), (keys or n, d), (keys or n, e))
    )
    q, k = (radius / 0.7**0.5 * x / (1 + x.norm(dim=-1, keepdim=True)) for x in (q, k))
    beta, curvature = torch.tensor(1.3), torch.tensor(0.7)
    precise = torch.promote_types(dtype, torch.float32)
    given = {"q": q.to(dtype), "k": k.to(dtype), "v": v.to(dtype)}
    return given | {"beta": beta.to(precise), "curvature": curvature.to(precise)}


def agree(given, *, causal):
    """Assert the tolerance for the output and every gradient."""
    found = excesses(hyperbolic_attention, reference.hyperbolic_attention, given | {"causal": causal})
    for name in ("dbeta", "dcurvature"):
        assert found.pop(name) <= K_OF_ONE_NUMBER
    assert all(ratio <= K for ratio in found.values()), found


def by_mobius_addition(x, y, c):
    """The distance as 2 / sqrt c artanh(sqrt c |-x + y|), + being Moebius addition."""
    x = -x
    xy, xx, yy = (x * y).sum(), (x * x).sum(), (y * y).sum()
    added = ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c * c * xx * yy)
    return 2 / c.sqrt() * torch.atanh(c.sqrt() * added.norm())


def test_the_definitions_distance_is_that_of_mobius_addition():
    """The two textbook forms of the distance are one."""
    given = inputs(6, torch.float64)
    c = given["curvature"]
    got = reference.distance(given["q"], given["k"], c)[0]
    want = torch.stack([torch.stack([by_mobius_addition(x, y, c) for y in given["k"][0]]) for x in given["q"][0]])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("causal", [False, True])
def test_the_definition_weighs_by_powers(causal):
    """exp(-beta d) is (u + sqrt(u^2 - 1))^(-beta / sqrt c), with u = cosh(sqrt c d)."""
    q, k, v, beta, c = inputs(7, torch.float64).values()
    u = 1 + 2 * c * torch.cdist(q, k) ** 2 / (
        (1 - c * q.norm(dim=-1) ** 2).mT[..., None] @ (1 - c * k.norm(dim=-1) ** 2)[:, None]
    ).reshape(1, 7, 7)
    weights = (u + (u * u - 1).sqrt()) ** (-beta / c.sqrt())
    weights = weights.tril() if causal else weights
    want = weights / weights.sum(-1, keepdim=True) @ v
    torch.testing.assert_close(hyperbolic_attention(q, k, v, beta, c, causal=causal), want)


@pytest.mark.parametrize("causal", [False, True])
def test_the_definition_has_the_gradients_of_finite_differences(causal):
    """For q, k, v, beta and the curvature, in double precision."""
    leaves = [x.requires_grad_() for x in inputs(4, torch.float64, 2, 2).values()]
    assert torch.autograd.gradcheck(lambda *x: hyperbolic_attention(*x, causal=causal), leaves)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition(tiles, dtype, causal):
    """Output and every gradient, over three tiles."""
    agree(inputs(37, dtype, batch=(2,)), causal=causal)


@pytest.mark.parametrize("n", [2, 16, 17])
def test_the_kernel_agrees_at_edge_sizes(tiles, n):
    """In one dimension, where many points are near."""
    agree(inputs(n, d=1, e=1), causal=True)


def test_queries_and_keys_may_differ_in_number(tiles):
    """Without a mask."""
    agree(inputs(5, keys=35), causal=False)
    agree(inputs(35, keys=2), causal=False)


def test_the_kernel_agrees_at_tile_64_and_head_dimension_64():
    """Where transposed accumulators have been miscompiled."""
    agree(inputs(130, torch.bfloat16, 64, 64), causal=True)


def test_heads_transposed_out_of_a_projection_are_read_where_they_lie(tiles):
    """Their last stride is one."""
    given = inputs(20, batch=(2, 2))
    for name in "qkv":
        given[name] = given[name].transpose(1, 2).contiguous().transpose(1, 2)
    agree(given, causal=True)


def test_near_points_keep_their_digits(tiles):
    """Keys 1e-5 from their queries at radius 0.99: the expanded square would have no digit left."""
    given = inputs(16, d=3, radius=1.0)
    unit = given["q"] / given["q"].norm(dim=-1, keepdim=True) / 0.7**0.5
    given |= {"q": 0.99 * unit, "k": (0.99 + 1e-5 * torch.arange(1, 17)[:, None]) * unit, "beta": torch.tensor(0.2)}
    agree(given, causal=True)


def test_equal_points_have_distance_zero_and_finite_gradients(tiles):
    """The kink's gradient is zero."""
    given = inputs(16)
    agree(given | {"k": given["q"].clone()}, causal=True)


def test_one_key_gives_its_value():
    """So queries and keys get no gradient."""
    given = [x.requires_grad_() for x in inputs(1).values()]
    out = hyperbolic_attention(*given, causal=True)
    torch.testing.assert_close(out, given[2])
    dq, dk, *_ = torch.autograd.grad(out.sum(), given)
    torch.testing.assert_close((dq, dk), (0 * dq, 0 * dk))


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy interprets, and says so
@pytest.mark.parametrize("radius", [1.0, 1.5])
def test_a_query_outside_the_open_ball_gives_nan_and_no_other_row_does(tiles, radius):
    """On the boundary and beyond."""
    q, k, v, _, _ = inputs(20).values()
    q[0, 7] = 0
    q[0, 7, 0] = radius
    q, k = q / 2, k / 2
    out = hyperbolic_attention(q, k, v, 1.0, 4.0, causal=True)
    assert out[0, 7].isnan().all()
    assert not out[0, [*range(7), *range(8, 20)]].isnan().any()


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_causal_query_does_not_see_a_bad_key_after_it(tiles):
    """Every later one does."""
    q, k, v, beta, c = inputs(20).values()
    k[0, 7] = 9.0
    out = hyperbolic_attention(q, k, v, beta, c, causal=True)
    assert not out[0, :7].isnan().any()
    assert out[0, 7:].isnan().all()


def test_the_operator_meets_every_contract_of_a_custom_operator(tiles):
    """Schema and fake rule."""
    leaves = [x.requires_grad_() for x in inputs(17, batch=(1, 2)).values()]
    tests = ("test_schema", "test_faketensor")
    torch.library.opcheck(autograd.hyperbolic_attention, leaves, {"causal": True}, test_utils=tests)


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        q, k = (torch.empty(2, 3, n, 4, dtype=torch.bfloat16, requires_grad=True) for n in (9, 7))
        v = torch.empty(2, 3, 7, 5, dtype=torch.bfloat16)
        out = hyperbolic_attention(q, k, v)
        (dk,) = torch.autograd.grad(out.sum(), [k])
    assert (out.shape, out.dtype, dk.shape) == ((2, 3, 9, 5), v.dtype, k.shape)


def test_a_mask_wants_as_many_keys_as_queries():
    """Otherwise there is no diagonal."""
    with pytest.raises(ValueError, match="causal with 5 queries and 6 keys"):
        hyperbolic_attention(*inputs(5, keys=6).values(), causal=True)
