"""Attention by hyperbolic distance: the definition is right, and the kernel agrees with it."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import hyperbolic_attention
from kernels.case import excesses
from kernels.hyperbolic_attention import autograd, reference
from kernels.hyperbolic_attention.cases import CASES

K = CASES[0].k
HALVES = (torch.bfloat16, torch.float16)

NUMPY_SAYS_SO = pytest.mark.filterwarnings(
    "ignore:invalid value encountered:RuntimeWarning", "ignore:All-NaN slice encountered:RuntimeWarning"
)
"""Warnings, where it interprets kernels that compute NaN."""

K_OF_ONE_NUMBER = 32
"""For the gradients of beta and the curvature: the definition's own error in a single sum can be small by chance."""


@pytest.fixture
def tiles(monkeypatch):
    """Tiles of 16 queries and 16 keys."""
    from kernels.hyperbolic_attention import launch

    for name in ("FORWARD", "BACKWARD_Q", "BACKWARD_KV"):
        monkeypatch.setattr(launch, name, dict.fromkeys((64, 128), launch.Tiles(16, 16, 4, 2)))
    monkeypatch.setattr(launch, "SINGLE", launch.Tiles(16, 16, 4, 2))
    monkeypatch.setattr(launch, "SPAN", 16)


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


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
def test_equal_points_have_distance_zero_and_finite_gradients(tiles, dtype, causal):
    """The kink's gradient is zero. In half precision the fast loops leave such pairs out, the careful ones add them."""
    given = inputs(48, dtype)
    agree(given | {"k": given["q"].clone()}, causal=causal)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_equal_points_in_the_origin_have_finite_gradients(tiles, dtype):
    """As those of padding may be; none is near, since nothing is lost."""
    given = inputs(48, dtype)
    for name in "qk":
        given[name][0, 5:40:7] = 0
    agree(given, causal=False)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_near_pair_is_found_wherever_it_lies(tiles, dtype):
    """In the first tiles, in the middle, and in the last, which is not whole."""
    given = inputs(75, dtype, 8)
    for query, key in ((3, 33), (40, 36), (70, 74)):
        given["k"][0, key] = given["q"][0, query]
    agree(given, causal=False)


def test_a_span_holds_every_near_pair_and_is_empty_without(tiles):
    """One for 16 queries; in keys, whole tiles."""
    given = inputs(75, torch.bfloat16, 8)
    for query, key in ((3, 20), (5, 60), (40, 40)):
        given["k"][0, key] = given["q"][0, query]
    q, k, v, beta, curvature = given.values()
    *_, spans = autograd.hyperbolic_attention(q[None], k[None], v[None], beta, curvature, causal=False)
    found = [(low, high) if low < high else None for low, high in spans[0].tolist()]
    assert found == [(16, 64), None, (32, 48), None, None]


def pairs(far, dtype):
    """8 heads, each of one q and one k, 16 times, with |q - k|^2 = far |q|^2 but for rounding."""
    random = torch.Generator().manual_seed(0)
    q, side = (torch.randn(8, 64, generator=random, dtype=torch.float64) for _ in range(2))
    q, side = (0.8 * x / x.norm(dim=-1, keepdim=True) for x in (q, side))
    return (x.to(dtype)[None, :, None].repeat(1, 1, 16, 1) for x in (q, q + far**0.5 * side))


def squares(q, k):
    """|q - k|^2 of every head, as the kernel finds it and exactly, and whether it was near.

    The sum of 16 equal weights tells their distance.
    """
    one = torch.tensor(1.0)
    _, total, _, _, spans = autograd.hyperbolic_attention(q, k, k, one, one, causal=False)
    q, k = q[0, :, 0].double(), k[0, :, 0].double()
    versine = torch.cosh((4 - total[:, 0].double()) * math.log(2)) - 1
    got = versine * (1 - q.square().sum(-1)) * (1 - k.square().sum(-1)) / 2
    return got, (q - k).square().sum(-1), spans[:, 0, 0] < spans[:, 0, 1]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_of_what_products_lose_beyond_near_is_half_a_rounding(tiles, dtype):
    """A slope goes with the root of the square, and its weight is rounded: to 2^-9 in bfloat16, 2^-11 in TF32."""
    from kernels.hyperbolic_attention import launch

    got, exact, near = squares(*pairs(1.2 * launch.NEAR[dtype], dtype))
    assert not near.any()
    assert ((got - exact).abs() <= exact * {torch.bfloat16: 2.0**-9, torch.float16: 2.0**-11}[dtype]).all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_near_squares_are_exact(tiles, dtype):
    """To what the sum of weights tells of them; by products, equal points would be 2^-12 apart."""
    from kernels.hyperbolic_attention import launch

    got, exact, near = squares(*pairs(0.8 * launch.NEAR[dtype], dtype))
    assert near.all()
    torch.testing.assert_close(got, exact, rtol=2.0**-13, atol=0)
    got, _, near = squares(*pairs(0, dtype))
    assert near.all()
    assert (got == 0).all()


@pytest.mark.parametrize("beta", [0.0, -1.3])
def test_far_keys_may_have_the_larger_weights(tiles, beta):
    """The nearest key then does not have the largest, by which the fast loop goes."""
    agree(inputs(48, torch.bfloat16) | {"beta": torch.tensor(beta)}, causal=False)


def test_one_key_gives_its_value():
    """So queries and keys get no gradient."""
    given = [x.requires_grad_() for x in inputs(1).values()]
    out = hyperbolic_attention(*given, causal=True)
    torch.testing.assert_close(out, given[2])
    dq, dk, *_ = torch.autograd.grad(out.sum(), given)
    torch.testing.assert_close((dq, dk), (0 * dq, 0 * dk))


@NUMPY_SAYS_SO
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
@pytest.mark.parametrize("radius", [1.0, 1.5])
def test_a_query_outside_the_open_ball_gives_nan_and_no_other_row_does(tiles, radius, dtype):
    """On the boundary and beyond."""
    q, k, v, _, _ = inputs(40, dtype).values()
    q[0, 7] = 0
    q[0, 7, 0] = radius
    q, k = q / 2, k / 2
    out = hyperbolic_attention(q, k, v, 1.0, 4.0, causal=True)
    assert out[0, 7].isnan().all()
    assert not out[0, [*range(7), *range(8, 40)]].isnan().any()


@NUMPY_SAYS_SO
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
def test_a_causal_query_does_not_see_a_bad_key_after_it(tiles, dtype):
    """Every later one does, and its gradient is NaN too."""
    q, k, v, beta, c = inputs(40, dtype).values()
    k[0, 7] = 9.0
    q.requires_grad_()
    out = hyperbolic_attention(q, k, v, beta, c, causal=True)
    (dq,) = torch.autograd.grad(out.sum(), [q])
    assert not out[0, :7].isnan().any()
    assert not dq[0, :7].isnan().any()
    assert out[0, 7:].isnan().all()
    assert dq[0, 7:].isnan().all()


@NUMPY_SAYS_SO
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
def test_a_key_that_no_bad_query_sees_has_a_gradient(tiles, dtype):
    """Those that it sees have none."""
    q, k, v, beta, c = inputs(40, dtype).values()
    q[0, 20] = 9.0
    k.requires_grad_()
    (dk,) = torch.autograd.grad(hyperbolic_attention(q, k, v, beta, c, causal=True).sum(), [k])
    assert dk[0, :21].isnan().all()
    assert not dk[0, 21:].isnan().any()


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
