"""Attention by hyperbolic distance as its definition states it, in plain PyTorch: all distances are formed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def hyperbolic_attention(
    q: Float[Tensor, "*B N D"],
    k: Float[Tensor, "*B M D"],
    v: Float[Tensor, "*B M E"],
    beta: Float[Tensor, ""],
    curvature: Float[Tensor, ""],
    *,
    causal: bool = False,
) -> Float[Tensor, "*B N E"]:
    """Return softmax(-beta d(q, k)) v, with distances in float32 at least."""
    scores = -beta * distance(q, k, curvature)
    if causal:
        scores = scores.masked_fill(scores.new_ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return scores.softmax(-1).to(v.dtype) @ v


def distance(x: Float[Tensor, "*B N D"], y: Float[Tensor, "*B M D"], c: Float[Tensor, ""]) -> Float[Tensor, "*B N M"]:
    """2 / sqrt(c) arsinh(sqrt(c) |x - y| / sqrt((1 - c |x|^2) (1 - c |y|^2))), with gradient zero where x = y."""
    precise = torch.promote_types(x.dtype, torch.float32)
    x, y, c = x.to(precise), y.to(precise), c.to(precise)
    square = (x[..., :, None, :] - y[..., None, :, :]).square().sum(-1)
    apart = torch.where(square > 0, torch.where(square > 0, square, 1).sqrt(), 0)
    a, b = (1 - c * z.square().sum(-1) for z in (x, y))
    a, b = (torch.where(z > 0, z, torch.nan).sqrt() for z in (a, b))
    return 2 / c.sqrt() * torch.asinh(c.sqrt() * apart / (a[..., :, None] * b[..., None, :]))
