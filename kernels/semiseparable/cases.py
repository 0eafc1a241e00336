"""Sizes at which the product with a semiseparable matrix is checked and timed."""

from __future__ import annotations

from functools import partial
from math import ceil, log2
from typing import Any

import torch

from kernels.case import Case, Work


def _inputs(
    shape: tuple[int, int, int, int], device: torch.device | str, dtype: torch.dtype, seed: int
) -> dict[str, Any]:
    """Random sequences (B, N, d) and a matrix whose low-rank part moves them about as much as its band does."""
    batches, rows, d, r = shape
    random = torch.Generator(device).manual_seed(seed)
    sizes = {"x": (batches, rows, d), "a": (rows,), "b": (rows - 1,), "c": (rows - 1,), "u": (rows, r), "v": (rows, r)}
    made = {name: torch.randn(size, generator=random, device=device) for name, size in sizes.items()}
    made["v"] /= (rows * r) ** 0.5
    return {name: x.to(dtype) for name, x in made.items()}


def case(batches: int, rows: int, d: int) -> Case:
    """A matrix of `rows` rows and rank log2(rows), applied to `batches` sequences of width `d`."""
    elements, r = batches * rows * d, ceil(log2(rows))

    def work(flops: int, passes: int, dtype: torch.dtype) -> Work:
        return Work(flops * elements, dtype.itemsize * (passes * elements + (passes - 1) * (3 + 2 * r) * rows))

    return Case(
        name=f"{batches}x{rows}x{d}, rank {r}",
        make_inputs=partial(_inputs, (batches, rows, d, r)),
        forward=partial(work, 4 * r + 6, 2),
        backward=partial(work, 8 * r + 12, 3),
        k=4.0,
        why="the sum over the sequence is added up in segments, in another order",
    )


CASES = (case(4, 2048, 512), case(4, 16384, 512), case(1, 65536, 1024))
