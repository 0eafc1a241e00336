"""The scratch memory of CUDA's reductions: partial results of thread blocks that share one output.

A reduction gives each output to a group of threads. Where that leaves a multiprocessor idle and a thread with many
values, several blocks share an output, and each keeps its partial results in global memory: this many bytes depend on
shape, strides, types and the card. Source: `setReduceConfig` in ATen/native/cuda/Reduce.cuh, and `TensorIterator`,
which orders and merges the dimensions first; the same from PyTorch 2.5 to 2.13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from muse.memory.card import Card
from muse.memory.hidden.phases import Phases

WARP, THREADS = 32, 512
LEAST_VALUES, MOST_VALUES = 16, 256
"""Per thread: a reduction is split over blocks at the most, and never below the least."""


@dataclass(frozen=True)
class Layout:
    """A tensor as an iterator sees it; strides and offset in elements."""

    shape: Sequence[int]
    strides: Sequence[int]
    itemsize: int
    offset: int = 0


def of(x: Any, dims: Sequence[int], card: Card, accumulator: int, vector: int = 4) -> Phases:
    """The same of a tensor, all of whose dimensions are reduced where `dims` is empty."""
    layout = Layout(x.shape, x.stride(), x.element_size(), x.storage_offset())
    return scratch(layout, list(dims) or range(x.dim()), accumulator, card, vector)


@dataclass(frozen=True)
class _Iterator:
    """Dimensions from the fastest on, those that are reduced first; strides in bytes."""

    shape: list[int]
    reduced: int
    strides: list[int]

    @property
    def outputs(self) -> int:
        return prod(self.shape[self.reduced :])


def scratch(x: Layout, dims: Sequence[int], accumulator: int, card: Card, vector: int = 4) -> Phases:
    """Partial results and the counters beside them; nothing where no output is shared.

    `accumulator` is the size of one partial result, `vector` how many values a thread loads at once.
    """
    if not prod(x.shape):
        return []
    it = _iterate(x, dims)
    inputs = prod(it.shape) // it.outputs
    along_input = it.reduced == len(it.shape) or it.strides[0] < it.strides[it.reduced]
    width, height = (inputs, it.outputs) if along_input else (it.outputs, inputs)
    per_output = 1
    fastest = it.strides[0 if along_input else it.reduced] if it.shape else x.itemsize
    if fastest == x.itemsize:
        if along_input and width >= 128 and it.reduced == 1:
            width //= vector
        elif not along_input:
            per_output = _output_vector(it, x)
            width //= per_output
    block_x, block_y = _block(width, height, THREADS // per_output)
    step_in, step_out = (block_x, 1) if along_input else (1, block_x)
    across_warps = -(-inputs // step_in) >= min(block_y * 16, MOST_VALUES)
    if across_warps:
        step_in *= block_y
    else:
        step_out *= block_y
    values, grid = -(-inputs // step_in), -(-(it.outputs // per_output) // step_out)
    target = card.multiprocessors * (card.threads_per_multiprocessor // (block_x * block_y))
    if not across_warps or values < MOST_VALUES or grid > target:
        return []
    shared_by = max(min(-(-target // grid), -(-values // LEAST_VALUES)), -(-values // MOST_VALUES))
    if shared_by <= 1:
        return []
    lanes = 1 if along_input else block_x * per_output
    return [(accumulator * it.outputs * shared_by * lanes, 4 * grid)]


def _block(width: int, height: int, most: int) -> tuple[int, int]:
    """Threads along both sides of a block, powers of two."""
    wide, high = _power(min(width, most)), _power(min(height, most))
    block_y = min(high, most // min(wide, WARP))
    return min(wide, most // block_y), block_y


def _power(n: int) -> int:
    """The largest power of two that is at most n."""
    return 1 << max(n, 1).bit_length() - 1


def _output_vector(it: _Iterator, x: Layout) -> int:
    """Neighbouring outputs that one thread computes: 4, 2 or 1, as everything is divisible."""
    sizes = [x.offset, it.shape[it.reduced], *(s // x.itemsize for s in it.strides[: it.reduced])]
    sizes += [s // x.itemsize for s in it.strides[it.reduced + 1 :]]
    return next(n for n in (4, 2, 1) if not any(size % n for size in sizes))


def _iterate(x: Layout, dims: Sequence[int]) -> _Iterator:
    """The dimensions ordered by stride, the reduced ones first, neighbours merged."""
    n = len(x.shape)
    gone = {d % n for d in dims} if n else set()
    out, size = [0] * n, 1
    for d in reversed(range(n)):
        if d not in gone:
            out[d], size = size, size * x.shape[d]
    order = list(reversed(range(n)))
    for i in range(1, n):
        at = i
        for before in reversed(range(i)):
            swap = _compare(order[before], order[at], x, out)
            if swap < 0:
                break
            if swap > 0:
                order[before], order[at] = order[at], order[before]
                at = before
    merged: list[list[int]] = []  # size, stride of the output, stride of the input
    for d in order:
        here = [x.shape[d], out[d], x.strides[d]]
        if merged and _merges(merged[-1], here):
            if merged[-1][0] == 1:
                merged[-1][1:] = here[1:]
            merged[-1][0] *= here[0]
        else:
            merged.append(here)
    reduced = sum(not stride for _, stride, _ in merged)
    return _Iterator([s for s, _, _ in merged], reduced, [s * x.itemsize for _, _, s in merged])


def _merges(first: list[int], second: list[int]) -> bool:
    if first[0] == 1 or second[0] == 1:
        return True
    return all(first[0] * a == b for a, b in zip(first[1:], second[1:], strict=True))


def _compare(d0: int, d1: int, x: Layout, out: list[int]) -> int:
    """Positive where d0 belongs behind d1, negative where before it, 0 where neither tensor says."""
    if (out[d0] == 0) != (out[d1] == 0):
        return 1 if out[d1] == 0 else -1
    for strides in (out, x.strides):
        a, b = strides[d0], strides[d1]
        if a == 0 or b == 0:
            continue
        if a != b:
            return -1 if a < b else 1
        if x.shape[d0] > x.shape[d1]:
            return 1
    return 0
