"""Copies of operands that a library does not take as they are.

A matrix product wants rows or columns that are contiguous and do not overlap; norms and convolutions want the whole.
Sources: `prepare_matrix_for_cublas` in ATen/native/cuda/Blas.cpp, layer_norm_kernel.cu, DepthwiseConv2d.cu.
"""

from __future__ import annotations

from typing import Any

import torch

from muse.memory.hidden import reductions
from muse.memory.hidden.phases import Phases, copies, nbytes

MANY_ROWS = 64 * 1024
"""From here on a narrow norm's backward pass sums the gradients of its weights in parts, of at most PARTS numbers."""
PARTS = 2**20
FLOAT = 4


def product(*matrices: Any) -> Phases:
    """Copies of those of `matrices` (..., n, m) that are neither row-major nor column-major."""
    copied = tuple(nbytes(x) for x in matrices if not _plain(x))
    return [copied] if copied else []


def _plain(x: Any) -> bool:
    (n, m), (row, column) = x.shape[-2:], x.stride()[-2:]
    return (column == 1 and row >= max(1, m)) or (row == 1 and column >= max(1, n))


def copied(x: Any) -> Phases:
    """A tensor of the same size, whatever `x` is like."""
    return [(nbytes(x),)]


def contiguous(*tensors: Any) -> Phases:
    """Copies of those of `tensors` that are not contiguous."""
    found = copies(*tensors)
    return [found] if found else []


def depthwise(groups: int, *tensors: Any) -> Phases:
    """A convolution of single channels, forward or backward.

    What cuDNN computes is not modelled: convolutions across channels, and in half precision those of at least 32.
    """
    return contiguous(*tensors) if groups > 1 else []


def norm_backward(gradient: Any, x: Any, *weights_and_card: Any) -> Phases:
    """Contiguous copies; of many rows, also one part of each weight's gradient per group of rows, summed in turn."""
    *weights, card = weights_and_card
    width, before = weights[0].numel(), copies(gradient, x)
    rows = x.numel() // width
    if rows <= MANY_ROWS or 2 * (width // reductions.WARP) >= card.multiprocessors:
        return [before] if before else []
    groups = min(-(-rows // 32), PARTS // width)
    parts = tuple(groups * nbytes(w) for w in weights)
    tables = [torch.empty(groups, width, dtype=w.dtype, device="meta") for w in weights]
    summed = [(w, reductions.of(table, [0], card, FLOAT) or [()]) for w, table in zip(weights, tables, strict=True)]
    return [(*before, *parts, nbytes(w), *sizes) for w, phases in summed for sizes in phases]
