"""A tridiagonal matrix plus one of low rank, and its resolvent's diagonal, in plain PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor


def semiseparable(  # the matrix is five tensors
    x: Float[Tensor, "*B N d"],
    a: Float[Tensor, " N"],
    b: Float[Tensor, " M"],
    c: Float[Tensor, " M"],
    u: Float[Tensor, "N r"],
    v: Float[Tensor, "N r"],
) -> Float[Tensor, "*B N d"]:
    """(T + U V^T) x: three shifted products, and the sum over the sequence V^T x seen through U."""
    y = a[:, None] * x + u @ (v.mT @ x)
    above, below = b[:, None] * x[..., 1:, :], c[:, None] * x[..., :-1, :]
    return y + F.pad(above, (0, 0, 0, 1)) + F.pad(below, (0, 0, 1, 0))


def semiseparable_diagonal(  # the matrix is five tensors
    a: Float[Tensor, " N"],
    b: Float[Tensor, " M"],
    c: Float[Tensor, " M"],
    u: Float[Tensor, "N r"],
    v: Float[Tensor, "N r"],
    z: Complex[Tensor, ""],
) -> Complex[Tensor, " N"]:
    """Woodbury: with M = T - z I, diag M^-1 - diag(M^-1 U (I + V^T M^-1 U)^-1 V^T M^-1)."""
    alpha, u, v = a - z, u.to(z.dtype), v.to(z.dtype)
    pivots, one = _pivots(alpha, b, c), torch.eye(u.shape[-1], dtype=z.dtype, device=z.device)
    left, right = _solve(pivots, b, c, u), _solve(pivots, c, b, v)
    middle = torch.linalg.solve(one + v.mT @ left, right.mT).mT
    return _diagonal(pivots, b, c) - (left * middle).sum(-1)


def _pivots(alpha: Tensor, b: Tensor, c: Tensor) -> list[Tensor]:
    """Gaussian elimination from the top: d_i = alpha_i - b_(i-1) c_(i-1) / d_(i-1)."""
    d = [alpha[0]]
    for i in range(len(b)):
        d.append(alpha[i + 1] - b[i] * c[i] / d[i])
    return d


def _solve(d: list[Tensor], b: Tensor, c: Tensor, right: Tensor) -> Tensor:
    """Solve M x = right, for b above the diagonal and c below: down with f, up with x."""
    f = [right[0]]
    for i in range(len(b)):
        f.append(right[i + 1] - c[i] / d[i] * f[i])
    x = [f[-1] / d[-1]]
    for i in reversed(range(len(b))):
        x.append((f[i] - b[i] * x[-1]) / d[i])
    return torch.stack(x[::-1])


def _diagonal(d: list[Tensor], b: Tensor, c: Tensor) -> Tensor:
    """Diagonal of M^-1 from the bottom: G_i = 1 / d_i + b_i c_i / d_i^2 G_(i+1)."""
    g = [1 / d[-1]]
    for i in reversed(range(len(b))):
        g.append(1 / d[i] + b[i] * c[i] / d[i] ** 2 * g[-1])
    return torch.stack(g[::-1])
