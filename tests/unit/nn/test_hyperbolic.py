"""The Poincaré ball keeps the laws of its geometry."""

import pytest
import torch
from torch import Tensor

from muse.nn.hyperbolic import distance, exp0, log0

CURVATURES = [0.01, 0.5, 1.0, 2.0]


def scalar(c: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a curvature as a tensor."""
    return torch.tensor(c, dtype=dtype)


def points(n: int, c: float, seed: int = 0, dim: int = 4) -> Tensor:
    """Return `n` points in float64, spread over the ball of curvature -c up to 0.95 of its radius."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(n, dim, dtype=torch.float64, generator=generator)
    radius = 0.95 * torch.rand(n, 1, dtype=torch.float64, generator=generator) / c**0.5
    return direction / direction.norm(dim=-1, keepdim=True) * radius


def arcosh_form(x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """Return the distance of one pair as the textbook writes it."""
    u = 2 * c * (x - y) @ (x - y) / ((1 - c * x @ x) * (1 - c * y @ y))
    return torch.acosh(1 + u) / c.sqrt()


@pytest.mark.parametrize("c", CURVATURES)
def test_log_undoes_exp(c):
    """A tangent vector comes back from the ball as it went, to float64 rounding."""
    v = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(log0(exp0(v, scalar(c)), scalar(c)), v, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("c", CURVATURES)
def test_exp_undoes_log(c):
    """A point comes back from the tangent space as it went."""
    x = points(50, c)
    torch.testing.assert_close(exp0(log0(x, scalar(c)), scalar(c)), x)


@pytest.mark.parametrize("c", CURVATURES)
def test_exp_stays_inside_the_ball(c):
    """However long the tangent vector, its point is within the radius 1 / sqrt c."""
    v = 3 * torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert (c * exp0(v, scalar(c)).square().sum(-1)).max() < 1


@pytest.mark.parametrize("c", CURVATURES)
def test_exp_keeps_lengths_as_distances(c):
    """A tangent vector of length l becomes a point at distance 2 l from the origin."""
    v = torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    origin = torch.zeros(1, 4, dtype=torch.float64)
    torch.testing.assert_close(distance(origin, exp0(v, scalar(c)), scalar(c))[0], 2 * v.norm(dim=-1))


@pytest.mark.parametrize("map_", [exp0, log0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_origin_stays_where_it_is(map_, dtype):
    """Zero maps to zero, not to 0 / 0."""
    zero = torch.zeros(1, 4, dtype=dtype)
    assert torch.equal(map_(zero, scalar(0.01, dtype)), zero)


@pytest.mark.parametrize("map_", [exp0, log0])
def test_the_gradient_at_the_origin_is_one(map_):
    """Both maps are the identity near the origin, and so is their derivative."""
    jacobian = torch.autograd.functional.jacobian(lambda v: map_(v, scalar(1.0)), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64))


def test_a_cap_leaves_shorter_vectors_alone():
    """`largest` acts on longer vectors only."""
    v = torch.tensor([[0.3, 0.4]], dtype=torch.float64)
    assert torch.equal(exp0(v, scalar(1.0), largest=0.51), exp0(v, scalar(1.0)))


def test_a_capped_exp_leaves_the_ball():
    """As in the measured network, the ratio of the capped norm is applied to the whole vector."""
    v = torch.tensor([[30.0, 40.0]], dtype=torch.float64)
    ratio = torch.tanh(scalar(15.0)) / 15
    torch.testing.assert_close(exp0(v, scalar(1.0), largest=15.0), ratio * v)


def test_a_capped_log_is_finite_outside_the_ball():
    """As in the measured network, a point beyond the cap is scaled with the ratio at the cap."""
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    ratio = torch.atanh(scalar(0.999)) / 0.999
    torch.testing.assert_close(log0(x, scalar(1.0), largest=0.999), ratio * x)


def test_log_is_infinite_on_the_boundary():
    """The boundary is infinitely far away."""
    assert log0(torch.tensor([[1.0, 0.0]]), torch.tensor(1.0))[0, 0] == torch.inf


def test_log_is_nan_outside_the_ball():
    """There is no such point."""
    assert log0(torch.tensor([[2.0, 1.0]]), torch.tensor(1.0)).isnan().all()


@pytest.mark.parametrize("c", CURVATURES)
def test_the_distance_is_the_textbook_formula(c):
    """Every pair agrees with arcosh, one pair at a time."""
    x, y = points(9, c, 4), points(7, c, 5)
    expected = torch.stack([torch.stack([arcosh_form(a, b, scalar(c)) for b in y]) for a in x])
    torch.testing.assert_close(distance(x, y, scalar(c)), expected)


@pytest.mark.parametrize("c", CURVATURES)
def test_the_distance_is_symmetric(c):
    """From x to y is as far as from y to x."""
    x, y = points(9, c, 6), points(7, c, 7)
    torch.testing.assert_close(distance(x, y, scalar(c)), distance(y, x, scalar(c)).T)


@pytest.mark.parametrize("c", CURVATURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_point_is_at_no_distance_from_itself(c, dtype):
    """The diagonal is zero to the last bit."""
    x = points(40, c).to(dtype)
    assert torch.equal(distance(x, x, scalar(c, dtype)).diagonal(), torch.zeros(40, dtype=dtype))


@pytest.mark.parametrize("c", CURVATURES)
def test_the_triangle_inequality_holds(c):
    """No detour is shorter."""
    x = points(12, c)
    d = distance(x, x, scalar(c))
    assert (d[:, None, :] <= d[:, :, None] + d[None, :, :].transpose(1, 2).transpose(0, 1) + 1e-9).all()


@pytest.mark.parametrize("c", CURVATURES)
def test_the_distance_from_the_origin_is_that_of_artanh(c):
    """d(0, x) = 2 artanh(sqrt c |x|) / sqrt c."""
    x = points(20, c)
    expected = 2 * torch.atanh(c**0.5 * x.norm(dim=-1)) / c**0.5
    torch.testing.assert_close(distance(torch.zeros_like(x[:1]), x, scalar(c))[0], expected)


def test_a_flat_ball_has_twice_the_euclidean_distance():
    """As c goes to zero the metric becomes 2 |x - y|."""
    x, y = points(5, 1.0, 8), points(6, 1.0, 9)
    torch.testing.assert_close(distance(x, y, scalar(1e-12)), 2 * torch.cdist(x, y))


@pytest.mark.parametrize("apart", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_near_points_keep_their_digits_in_float32(c, apart):
    """At 0.6 from the origin and `apart` from each other, float32 is right to 8 roundings."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 8, generator=generator)
    x = 0.6 * x / x.norm(dim=-1, keepdim=True)
    y = x + apart * torch.randn(30, 8, generator=generator)
    near = distance(x, y, torch.tensor(c)).diagonal().double()
    exact = distance(x.double(), y.double(), torch.tensor(c).double()).diagonal()
    assert ((near - exact) / exact).abs().max() < 8 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(half):
    """Distances of half-precision points come as float32."""
    x = points(5, 1.0).to(half)
    torch.testing.assert_close(distance(x, x, torch.tensor(1.0)), distance(x.float(), x.float(), torch.tensor(1.0)))


def test_the_gradient_of_a_coinciding_pair_is_finite():
    """A token whose query equals its key must not poison a training step."""
    x = points(5, 1.0).requires_grad_()
    distance(x, x, scalar(1.0)).sum().backward()
    assert x.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    """Points and curvature pass gradcheck in float64."""
    x, y, c = points(4, 1.0, 1).requires_grad_(), points(3, 1.0, 2).requires_grad_(), scalar(0.9).requires_grad_()
    assert torch.autograd.gradcheck(distance, (x, y, c))


@pytest.mark.parametrize(
    ("norm", "other", "expected"), [(1.0, 0.0, "inf"), (1.0, 0.5, "inf"), (2.0, 0.0, "nan"), (2.0, 3.0, "nan")]
)
def test_no_distance_to_the_boundary_or_beyond_is_finite(norm, other, expected):
    """It is infinite to a point on the boundary and NaN to one outside, even between two outside."""
    x, y = torch.tensor([[norm, 0.0]]), torch.tensor([[0.0, other]])
    assert str(distance(x, y, torch.tensor(1.0)).item()) == expected


def test_leading_dimensions_are_a_batch():
    """Every batch entry has its own distances."""
    x, y = points(12, 1.0, 1).view(2, 2, 3, 4), points(20, 1.0, 2).view(2, 2, 5, 4)
    torch.testing.assert_close(distance(x, y, scalar(1.0))[1, 0], distance(x[1, 0], y[1, 0], scalar(1.0)))
