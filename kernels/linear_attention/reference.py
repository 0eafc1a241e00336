"""Linear attention as its definition states it, in plain PyTorch.

out_n = sum_m (q_n . k_m) v_m / sum_m (q_n . k_m), over all m, or over m <= n when causal.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

CHUNK = 128
"""Tokens whose scores are formed at once when causal: memory stays O(N), work O(N (CHUNK + D))."""

State = tuple[Float[Tensor, "*B D E"], Float[Tensor, "*B D"]]
"""Sums of k v^T and of k over the tokens seen."""


def linear_attention(
    q: Float[Tensor, "*B N D"],
    k: Float[Tensor, "*B N D"],
    v: Float[Tensor, "*B N E"],
    *,
    causal: bool = False,
    elu: bool = False,
    curvature: Tensor | None = None,
    state: State | None = None,
) -> tuple[Float[Tensor, "*B N E"], State]:
    """Return the output and the state after the last token."""
    if curvature is not None:
        q, k, v = (log0(x, curvature) for x in (q, k, v))
    if elu:
        q, k = F.elu(q) + 1, F.elu(k) + 1
    if causal:
        if state is None:
            state = q.new_zeros(*q.shape[:-2], q.shape[-1], v.shape[-1]), q.new_zeros(*q.shape[:-2], q.shape[-1])
        out, sums, weight = _causal(q, k, v, state[0].to(q.dtype), state[1].to(q.dtype)[..., None])
    else:
        sums, weight = k.mT @ v, k.sum(-2, keepdim=True).mT
        if state is not None:
            sums, weight = sums + state[0].to(q.dtype), weight + state[1].to(q.dtype)[..., None]
        out = (q @ sums) / (q @ weight.to(q.dtype))
    return out if curvature is None else exp0(out, curvature), (sums, weight[..., 0])


def _causal(q: Tensor, k: Tensor, v: Tensor, sums: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    out = []
    for q_c, k_c, v_c in zip(*(x.split(CHUNK, dim=-2) for x in (q, k, v)), strict=True):
        scores = (q_c @ k_c.mT).tril()
        total = scores.sum(-1, keepdim=True) + q_c @ weight
        out.append((scores @ v_c + q_c @ sums) / total)
        sums = sums + k_c.mT @ v_c
        weight = weight + k_c.sum(-2, keepdim=True).mT
    return torch.cat(out, dim=-2), sums, weight


def log0(x: Float[Tensor, "*B D"], c: Tensor) -> Float[Tensor, "*B D"]:
    """artanh(sqrt(c) |x|) / (sqrt(c) |x|) x: from the ball of curvature -c to its tangent space at the origin."""
    u = _radius(x, c)
    return torch.where(u > 0, torch.atanh(u) / torch.where(u > 0, u, 1), 1).to(x.dtype) * x


def exp0(x: Float[Tensor, "*B D"], c: Tensor) -> Float[Tensor, "*B D"]:
    """tanh(sqrt(c) |x|) / (sqrt(c) |x|) x: back again."""
    u = _radius(x, c)
    return torch.where(u > 0, torch.tanh(u) / torch.where(u > 0, u, 1), 1).to(x.dtype) * x


def _radius(x: Tensor, c: Tensor) -> Tensor:
    """sqrt(c) |x|, at least in float32; zero with a zero gradient where x is zero."""
    square = c * x.to(c.dtype).square().sum(-1, keepdim=True)
    return torch.where(square > 0, torch.where(square > 0, square, 1).sqrt(), 0)
