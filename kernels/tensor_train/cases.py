"""Sizes at which the tensor-train look-up is checked and timed."""

from __future__ import annotations

from functools import partial
from math import ceil, isqrt
from typing import Any

import torch

from kernels.case import Case, Work


def _root(n: int) -> int:
    return isqrt(n - 1) + 1


def _inputs(
    shape: tuple[int, int, int, int], device: torch.device | str, dtype: torch.dtype, seed: int
) -> dict[str, Any]:
    """Random tokens, cores and phases for (tokens, vocabulary, width, rank), split at square roots."""
    tokens, vocabulary, width, r = shape
    random = torch.Generator(device).manual_seed(seed)
    v1, d1 = _root(vocabulary), _root(width)
    sizes = ((v1, r, d1), (ceil(vocabulary / v1), r, ceil(width / d1)), (r,))
    core1, core2, phase = (torch.randn(size, generator=random, device=device).to(dtype) for size in sizes)
    index = torch.randint(vocabulary, (tokens,), generator=random, device=device)
    return {"index": index, "core1": core1, "core2": core2, "phase": phase, "width": width}


def case(tokens: int, vocabulary: int, width: int, r: int) -> Case:
    """A table of rank `r`, looked up `tokens` times."""

    def work(products: int, dtype: torch.dtype) -> Work:
        cores = 2 * r * _root(vocabulary) * _root(width)
        return Work(
            2 * products * tokens * r * width, dtype.itemsize * (tokens * width + products * cores) + 8 * tokens
        )

    return Case(
        name=f"{tokens} tokens of {vocabulary}x{width}, rank {r}",
        make_inputs=partial(_inputs, (tokens, vocabulary, width, r)),
        forward=partial(work, 1),
        backward=partial(work, 2),
        k=4.0,
        why="sums of r products, and of the tokens' gradients, are added in another order",
    )


CASES = (case(4096, 10000, 512, 16), case(16384, 50257, 1024, 16), case(16384, 50257, 4096, 16))
