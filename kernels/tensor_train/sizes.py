"""What the operators keep beside what they are given and what they return."""

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1024
"""Tokens that one program puts in the order of i1."""
SLOT = 8
"""Tokens of one i1 whose gradients one program takes, and adds to that of C1 at once."""
ALIGN = 64
"""Rows of logits start at multiples of this many elements, so that 16 bytes move at once."""
ROWS = 1024
"""Tokens whose gradients of logits are copied at once: 7.8 for each of an H100's 132 multiprocessors, so that few wait
at the end. Of 50,000 logits they take 105 MB in half precision."""
PARTS = 128
"""Programs that share the tokens of a chunk to form the gradient of a core, each two ranks of it."""


class Room(NamedTuple):
    """Uninitialised memory of the look-up's backward pass."""

    order: Tensor
    """(2, slots, SLOT): tokens in the order of i1, by their number and by what they are.

    Each i1 of a chunk begins a slot: n tokens take at most n // SLOT + v1 slots.
    """
    counts: Tensor
    """(chunks, v1): tokens of each i1."""
    sums: Tensor
    """The gradients of cos C1 and of C2 in float32, one after the other."""
    chunk: int
    """Tokens of a chunk."""


def of_lookup(index: Tensor, core1: Tensor, core2: Tensor) -> Room:
    """Return what the backward pass of looking up `index` needs."""
    tokens, v1 = index.numel(), core1.shape[0]
    chunks = -(-tokens // CHUNK)
    return Room(
        core1.new_empty((2, tokens // SLOT + chunks * v1, SLOT), dtype=torch.int32),
        core1.new_empty((chunks, v1), dtype=torch.int32),
        core1.new_empty(core1.numel() + core2.numel(), dtype=torch.float32),
        CHUNK,
    )


def rows(tokens: int, columns: int, like: Tensor) -> Tensor:
    """Return room for that many rows of logits."""
    return like.new_empty(tokens, -(-columns // ALIGN) * ALIGN)


def parts(core: Tensor) -> Tensor:
    """Return zeros for the parts of a core's gradient in float32, (parts, v, r, d)."""
    return core.new_zeros(max(1, PARTS // -(-core.shape[1] // 2)), *core.shape, dtype=torch.float32)
