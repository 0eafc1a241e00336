"""The linear recurrence as its definition states it, in plain PyTorch."""

from __future__ import annotations

import torch
from jaxtyping import Inexact
from torch import Tensor


def linear_scan(
    a: Inexact[Tensor, "*B N"] | None,
    b: Inexact[Tensor, "*B N"],
    initial: Inexact[Tensor, "*B"] | None = None,
    *,
    reverse: bool = False,
) -> Inexact[Tensor, "*B N"]:
    """Step through time: h_t = a_t h_(t-1) + b_t, or h_t = a_t h_(t+1) + b_t when `reverse`."""
    h = torch.zeros_like(b[..., 0]) if initial is None else initial
    states = []
    for t in reversed(range(b.shape[-1])) if reverse else range(b.shape[-1]):
        h = b[..., t] + (h if a is None else a[..., t] * h)
        states.append(h)
    return torch.stack(states[::-1] if reverse else states, dim=-1)
