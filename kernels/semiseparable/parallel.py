"""The resolvent's diagonal in plain PyTorch, with about 2 log2 N steps for each recurrence instead of N.

Its recurrences are those of `reference`: steps that compose, so that neighbours are merged in pairs until one is left.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Steps = tuple[Tensor, ...]


def semiseparable_diagonal(  # the matrix is five tensors
    a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor, z: Tensor
) -> Tensor:
    """`reference.semiseparable_diagonal`, whose arguments these are."""
    u, v, b, c = (x.to(z.dtype) for x in (u, v, b, c))
    d = _pivots(a - z, b * c)
    one = torch.eye(u.shape[-1], dtype=z.dtype, device=z.device)
    left, right = _solve(d, b, c, u), _solve(d, c, b, v)
    middle = torch.linalg.solve(one + v.mT @ left, right.mT).mT
    inverse = _recurrence((b * c / d[:-1] ** 2)[:, None].flip(0), (1 / d)[:, None].flip(0)).flip(0)
    return inverse[:, 0] - (left * middle).sum(-1)


def _pivots(alpha: Tensor, p: Tensor) -> Tensor:
    """d_i = alpha_i - p_(i-1) / d_(i-1)."""
    zero = torch.zeros_like(alpha)
    return _prefixes(_fraction_then, (alpha, torch.cat((zero[:1], p)), zero))[0]


def _solve(d: Tensor, b: Tensor, c: Tensor, right: Tensor) -> Tensor:
    """Solve M x = right, for b above the diagonal and c below: down with f, up with x."""
    f = _recurrence(-(c / d[:-1])[:, None], right)
    return _recurrence(-(b / d[:-1])[:, None].flip(0), (f / d[:, None]).flip(0)).flip(0)


def _recurrence(slope: Tensor, offset: Tensor) -> Tensor:
    """s_0 = offset_0, s_i = slope_(i-1) s_(i-1) + offset_i."""
    first = slope.new_zeros(1, 1)
    return _prefixes(_affine_then, (torch.cat((first, slope)), offset))[1]


def _affine_then(first: Steps, then: Steps) -> Steps:
    (a, b), (c, d) = first, then
    return c * a, c * b + d


def _fraction_then(first: Steps, then: Steps) -> Steps:
    """First d -> A - q / (d + D), then another such map."""
    (a, q, d), (next_a, next_q, next_d) = first, then
    pole = a + next_d
    return next_a - next_q / pole, (q / pole) * (next_q / pole), d - q / pole


def _prefixes(then: Callable[[Steps, Steps], Steps], steps: Steps) -> Steps:
    """Every step composed with all before it."""
    if len(steps[0]) == 1:
        return steps
    pairs = then(tuple(x[:-1:2] for x in steps), tuple(x[1::2] for x in steps))
    odd = _prefixes(then, pairs)
    middle = then(tuple(x[: (len(steps[0]) - 1) // 2] for x in odd), tuple(x[2::2] for x in steps))
    even = (torch.cat((x[:1], y)) for x, y in zip(steps, middle, strict=True))
    return tuple(_interleave(x, y) for x, y in zip(even, odd, strict=True))


def _interleave(even: Tensor, odd: Tensor) -> Tensor:
    pairs = torch.stack((even[: len(odd)], odd), dim=1).flatten(0, 1)
    return torch.cat((pairs, even[len(odd) :]))
