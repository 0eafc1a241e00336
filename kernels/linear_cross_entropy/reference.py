"""Cross-entropy of a linear head as its definition states it, in plain PyTorch: the logits are formed."""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F


def linear_cross_entropy(
    hidden: Float[Tensor, "*T d"],
    weight: Float[Tensor, "V r"],
    target: Integer[Tensor, "*T"],
    *,
    bias: Float[Tensor, " V"] | None = None,
    down: Float[Tensor, "r d"] | None = None,
    ignore_index: int = -100,
) -> Float[Tensor, ""]:
    """Return the mean over the kept tokens of log sum_j exp(x_j) - x_target, with x = W h + b and h = A hidden.

    The logits have the inputs' precision; what follows them has float32's or better.
    """
    h = hidden if down is None else F.linear(hidden, down)
    logits = F.linear(h, weight, bias).flatten(0, -2)
    precise = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(precise), target.flatten().long(), ignore_index=ignore_index)
