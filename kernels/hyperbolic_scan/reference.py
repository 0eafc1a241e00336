"""The Moebius recurrence as its definition states it, in plain PyTorch: one step after the other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def hyperbolic_scan(
    a: Float[Tensor, "*B N A"],
    b: Float[Tensor, "*B N S"],
    curvature: Float[Tensor, ""],
    initial: Float[Tensor, "*B S"],
) -> Float[Tensor, "*B N S"]:
    """Return h_t = (a_t (x) h_(t-1)) (+) b_t for all t, computed in float32 at least."""
    precise = torch.promote_types(b.dtype, torch.float32)
    c, h = curvature.to(precise), initial.to(precise)
    states = []
    for factor, point in zip(a.to(precise).unbind(-2), b.to(precise).unbind(-2), strict=True):
        h = mobius_add(exp0(factor * log0(h, c), c), point, c)
        states.append(h)
    return torch.stack(states, -2).to(b.dtype)


def mobius_add(x: Float[Tensor, "*B S"], y: Float[Tensor, "*B S"], c: Float[Tensor, ""]) -> Float[Tensor, "*B S"]:
    """Return x (+) y on the ball of curvature -c."""
    xy, xx, yy = ((p * q).sum(-1, keepdim=True) for p, q in ((x, y), (x, x), (y, y)))
    yy = torch.where(c * yy < 1, yy, torch.nan)
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c * c * xx * yy)


def log0(x: Float[Tensor, "*B S"], c: Float[Tensor, ""]) -> Float[Tensor, "*B S"]:
    """artanh(sqrt c |x|) / (sqrt c |x|) x."""
    u = _radius(x, c)
    return torch.where(u > 0, torch.atanh(u) / torch.where(u > 0, u, 1), 1 + 0 * u) * x


def exp0(x: Float[Tensor, "*B S"], c: Float[Tensor, ""]) -> Float[Tensor, "*B S"]:
    """tanh(sqrt c |x|) / (sqrt c |x|) x."""
    u = _radius(x, c)
    return torch.where(u > 0, torch.tanh(u) / torch.where(u > 0, u, 1), 1 + 0 * u) * x


def _radius(x: Tensor, c: Tensor) -> Tensor:
    """sqrt(c) |x|, with a zero gradient where x is zero; NaN stays NaN."""
    square = c * x.square().sum(-1, keepdim=True)
    return torch.where(square == 0, 0, torch.where(square == 0, 1, square).sqrt())
