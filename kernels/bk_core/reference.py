"""The resolvent's diagonal as its definition states it, in plain PyTorch."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def bk_core(
    a: Float[Tensor, "*B N"], b: Float[Tensor, "*B M"], c: Float[Tensor, "*B M"], z: Complex[Tensor, "*B"]
) -> Complex[Tensor, "*B N"]:
    """Two continued fractions, d from the left and e from the right: G_ii = 1 / (d_i + e_i - (a_i - z))."""
    alpha, p = a - z.unsqueeze(-1), b.to(z.real.dtype) * c
    d = _continued_fraction(alpha, p)
    e = _continued_fraction(alpha.flip(-1), p.flip(-1)).flip(-1)
    return 1 / (d + e - alpha)


def _continued_fraction(alpha: Tensor, p: Tensor) -> Tensor:
    """d_0 = alpha_0, d_i = alpha_i - p_(i-1) / d_(i-1)."""
    d = [alpha[..., 0]]
    for i in range(p.shape[-1]):
        d.append(alpha[..., i + 1] - p[..., i] / d[-1])
    return torch.stack(d, dim=-1)
