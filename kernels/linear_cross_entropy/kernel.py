"""One program per row of logits: its loss, and its gradient written over it."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 8192
"""Logits of a row in registers at once: one load of 16 bytes for each of 1,024 threads in half precision."""

VECTOR = 16
"""Bytes that a thread loads at once."""

PER_WARP = 256
"""Logits of a block for each warp, so that two programs of a long row fill a processor's 64 warps."""


@triton.jit
@no_type_check
def _exp(x):
    """Return e^x: a product and an instruction. tl.exp would add three for results below 2^-126, here zero."""
    return tl.exp2(x * 1.4426950408889634)


@triton.jit
@no_type_check
def _softmax_gradient(
    logits, target, loss, stride, columns, ignored,
    WITH_GRADIENT: tl.constexpr, BLOCK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """Loads and stores go up to the row's stride: a bound that is no multiple of VECTOR would split them."""
    row = tl.program_id(0)
    logits += row.to(tl.int64) * stride
    aim = tl.load(target + row)
    kept = aim != ignored
    valid = (aim >= 0) & (aim < columns)
    at_aim = tl.load(logits + aim, mask=kept & valid, other=float("nan")).to(tl.float32)
    lane, part = tl.arange(0, BLOCK // VECTOR), tl.arange(0, VECTOR)
    place = lane[:, None] * VECTOR + part[None, :]
    # Each lane has a maximum and a sum of its own, so that lanes wait for one another only once, at the row's end.
    top = tl.full((BLOCK // VECTOR,), -float("inf"), tl.float32)
    total = tl.zeros((BLOCK // VECTOR,), tl.float32)
    for start in range(0, columns, BLOCK):
        column = start + place
        x = tl.load(logits + column, mask=column < stride, other=-float("inf")).to(tl.float32)
        x = tl.where(column < columns, x, -float("inf"))
        higher = tl.maximum(top, tl.max(x, 1))
        # -inf is a token that the bias rules out; where a lane has no other, there is no finite logit to subtract.
        base = tl.where(higher == -float("inf"), 0.0, higher)
        total = total * _exp(top - base) + tl.sum(_exp(x - base[:, None]), 1)
        top = higher
    highest = tl.max(top, 0)
    base = tl.where(highest == -float("inf"), 0.0, highest)
    log_total = highest + tl.log(tl.sum(total * _exp(top - base), 0))
    tl.store(loss + row, tl.where(kept, log_total - at_aim, 0.0))
    if WITH_GRADIENT:
        for start in range(0, columns, BLOCK):
            column = start + place
            x = tl.load(logits + column, mask=column < stride, other=0.0).to(tl.float32)
            tl.store(logits + column, tl.where(kept, _exp(x - log_total), 0.0), mask=column < stride)
        tl.debug_barrier()  # other threads have written this place: only now is it this thread's turn
        tl.store(logits + aim, _exp(at_aim - log_total) - 1.0, mask=kept & valid)


def softmax_gradient(logits: Tensor, target: Tensor, loss: Tensor, ignore_index: int, *, gradient: bool) -> None:
    """Write each row's loss, and with `gradient` softmax - onehot over the logits themselves.

    What lies between a row's last column and the next row is scratch, and may be written too.
    """
    rows, columns = logits.shape
    vector = VECTOR // logits.element_size()
    block = max(vector, min(BLOCK, triton.next_power_of_2(columns)))
    _softmax_gradient[(rows,)](
        logits, target, loss, logits.stride(0), columns, ignore_index, WITH_GRADIENT=gradient,
        BLOCK=block, VECTOR=vector, num_warps=max(1, min(32, block // PER_WARP)),
    )  # fmt: skip
