"""One program per row of logits: its loss, and its gradient written over it."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
"""Logits of a row in registers at once."""


@triton.jit
@no_type_check
def _softmax_gradient(logits, target, loss, stride, columns, ignored, WITH_GRADIENT: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    logits += row.to(tl.int64) * stride
    aim = tl.load(target + row)
    kept = aim != ignored
    valid = (aim >= 0) & (aim < columns)
    at_aim = tl.load(logits + aim, mask=kept & valid, other=float("nan")).to(tl.float32)
    top = -float("inf")
    total = 0.0
    for start in range(0, columns, BLOCK):
        column = start + tl.arange(0, BLOCK)
        x = tl.load(logits + column, mask=column < columns, other=-float("inf")).to(tl.float32)
        higher = tl.maximum(top, tl.max(x, 0))
        # -inf is a token that the bias rules out; where a whole block is, there is no finite logit to subtract.
        base = tl.where(higher == -float("inf"), 0.0, higher)
        total = total * tl.exp(top - base) + tl.sum(tl.exp(x - base), 0)
        top = higher
    log_total = top + tl.log(total)
    tl.store(loss + row, tl.where(kept, log_total - at_aim, 0.0))
    if WITH_GRADIENT:
        for start in range(0, columns, BLOCK):
            column = start + tl.arange(0, BLOCK)
            x = tl.load(logits + column, mask=column < columns, other=-float("inf")).to(tl.float32)
            gradient = tl.exp(x - log_total) - (column == aim).to(tl.float32)
            gradient = tl.where(kept, gradient, 0.0).to(logits.dtype.element_ty)
            tl.store(logits + column, gradient, mask=column < columns)


def softmax_gradient(logits: Tensor, target: Tensor, loss: Tensor, ignore_index: int, *, gradient: bool) -> None:
    """Write each row's loss, and with `gradient` softmax - onehot over the logits themselves."""
    rows, columns = logits.shape
    block = min(BLOCK, triton.next_power_of_2(columns))
    _softmax_gradient[(rows,)](
        logits, target, loss, logits.stride(0), columns, ignore_index, WITH_GRADIENT=gradient, BLOCK=block, num_warps=8
    )
