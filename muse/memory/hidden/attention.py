"""Which fused attention runs on a card, and the buffers that it allocates inside itself.

Shapes are (B, H, N, D): batch, heads, tokens, width of a head. Sources: `sdp_utils.cpp`, `attention.cu`,
`attention_backward.cu`, `kernel_backward.h` with `generate_kernels.py` and `flash_api.cpp` in
ATen/native/transformers/cuda; the workspaces of cuDNN as measured. PyTorch 2.11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from muse.memory.card import Card
from muse.memory.hidden.phases import Phases, copies

HALF = (torch.float16, torch.bfloat16)
WIDEST = 256
"""The widest head that flash attention and cuDNN take."""
MOST_SPLITS = 200
"""How many parts of the keys all heads together may have while each keeps sums of its own."""


def backend(query: Any, key: Any, dropout: float, card: Card) -> str:
    """The kernel that CUDA picks: cudnn, flash, efficient or math.

    cuDNN comes first on Hopper and later, if the width is a multiple of 8; flash attention pads others. It takes
    neither a single key nor, with dropout, a single query. The memory-efficient kernel needs rows of whole 16 bytes.
    """
    width = query.shape[-1]
    if query.dtype in HALF and width <= WIDEST and card.flash:
        takes = width % 8 == 0 and key.shape[-2] > 1 and (query.shape[-2] > 1 or not dropout)
        return "cudnn" if card.capability >= (9, 0) and takes else "flash"
    return "efficient" if width * query.element_size() % 16 == 0 else "math"


@dataclass(frozen=True)
class _Tiles:
    """How the memory-efficient backward kernel cuts queries (i) and keys (j)."""

    i: int
    j: int
    sums_in_registers: bool


def _tiles(query: Any, value: Any, card: Card) -> _Tiles:
    widest, half = max(query.shape[-1], value.shape[-1]), query.dtype in HALF
    if widest <= 64:
        return _Tiles(64, 64, half)
    i = 128 if card.shared_memory >= 160 * 1024 else 64  # what does not fit shared memory takes the next kernel
    in_registers = half and widest <= 128 == i
    return _Tiles(i, 128 if in_registers else 64, in_registers)


def efficient(query: Any, value: Any) -> Phases:
    """Forward: float32 sums of the output where it is half precision and too wide for registers."""
    b, h, n, _ = query.shape
    width = value.shape[-1]
    return [(4 * b * h * n * width,)] if query.dtype in HALF and width > 128 else []


def efficient_backward(gradient: Any, query: Any, key: Any, value: Any, card: Card) -> Phases:
    """Row sums of gradient times output, and a workspace for the sums of dQ, and of dK and dV where they need it."""
    b, h, n, d = query.shape
    m, width, tiles = key.shape[2], value.shape[-1], _tiles(query, value, card)
    accumulates = query.dtype in HALF and not tiles.sums_in_registers
    splits = -(-m // tiles.j)
    if accumulates:
        splits = max(1, min(splits, MOST_SPLITS // (b * h)))
    floats = -(-n // tiles.i) * -(-d // tiles.j) * (4 + tiles.i * tiles.j)
    if accumulates:
        floats += splits * tiles.j * sum(-(-size // tiles.i) * tiles.i for size in (d, width))
    copied, rows, workspace = copies(gradient.transpose(1, 2)), 4 * b * h * n, 4 * b * h * floats
    if query.dtype in HALF:
        return [(*copied, rows, workspace)]
    summed = (rows, rows) if n > 1 and h > 1 else (rows,)  # the second in the order of the kernel
    return [(*copied, 4 * b * h * n * width, *summed), (*copied, rows, workspace)]


def cudnn(query: Any) -> Phases:
    """Forward: its smallest workspace."""
    return [(256,)] if query.shape[2] > 1 else []


def cudnn_backward(query: Any) -> Phases:
    """Float32 sums of dQ, and one number for each row."""
    b, h, n, d = query.shape
    return [(4 * b * h * n * (d + 1) + 256,)]


def flash(query: Any, key: Any, dropout: float, card: Card) -> Phases:
    """Forward: a seed for dropout; without it, parts of the output where splitting the keys fills the card."""
    if dropout:
        return [(16,)]
    b, h, n, d = query.shape
    splits = _flash_splits(b * h * -(-n // 64), key.shape[2], d, card)
    return [(4 * splits * b * h * n, 4 * splits * b * h * n * _rounded(d))] if splits > 1 else []


def _flash_splits(blocks: int, keys: int, width: int, card: Card) -> int:
    """The fewest parts that use the card within 15 % as well as the best number does."""
    along = -(-keys // (256 if width <= 64 else 128 if width <= 128 else 64))
    target = 2 * card.multiprocessors
    if blocks >= 0.8 * target:
        return 1
    efficiency = {}
    for splits in range(1, min(128, target, along) + 1):
        if splits == 1 or -(-along // splits) != -(-along // (splits - 1)):
            waves = blocks * splits / target
            efficiency[splits] = waves / -(-blocks * splits // target)
    return next(splits for splits, used in efficiency.items() if used >= 0.85 * max(efficiency.values()))


def flash_backward(gradient: Any, out: Any, query: Any) -> Phases:
    """Float32 sums of dQ and one number for each row, of tokens in whole blocks of 128, and contiguous copies."""
    b, h, n, d = query.shape
    tokens = -(-n // 128) * 128
    copied = copies(gradient.transpose(1, 2), out.transpose(1, 2))
    return [(*copied, 4 * b * h * tokens, 4 * b * h * tokens * _rounded(d))]


def _rounded(width: int) -> int:
    step = 32 if width <= 128 else 64
    return -(-width // step) * step
