"""Sizes at which the tensor-train look-up and logits through its table are checked and timed."""

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
    """Random tokens, cores and phases for (tokens, vocabulary, width, rank)."""
    tokens, vocabulary, width, _ = shape
    random = torch.Generator(device).manual_seed(seed)
    cores = _cores(shape, random, dtype)
    index = torch.randint(vocabulary, (tokens,), generator=random, device=device)
    return {"index": index, **cores, "width": width}


def _hidden(
    shape: tuple[int, int, int, int], device: torch.device | str, dtype: torch.dtype, seed: int
) -> dict[str, Any]:
    """Random hidden states, cores and phases; the logits are about as large as a head's."""
    tokens, vocabulary, width, r = shape
    random = torch.Generator(device).manual_seed(seed)
    cores = _cores(shape, random, dtype)
    hidden = torch.randn(tokens, width, generator=random, device=device) * (width * r) ** -0.5
    return {"hidden": hidden.to(dtype), **cores, "vocabulary": vocabulary}


def _cores(shape: tuple[int, int, int, int], random: torch.Generator, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Cores of a table whose vocabulary and width are split at their square roots."""
    _, vocabulary, width, r = shape
    v1, d1 = _root(vocabulary), _root(width)
    sizes = {"core1": (v1, r, d1), "core2": (ceil(vocabulary / v1), r, ceil(width / d1)), "phase": (r,)}
    return {name: torch.randn(size, generator=random, device=random.device).to(dtype) for name, size in sizes.items()}


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


def logits(tokens: int, vocabulary: int, width: int, r: int) -> Case:
    """Logits of `tokens` hidden states through a table of rank `r`."""
    v1, d1 = _root(vocabulary), _root(width)
    v2, d2 = ceil(vocabulary / v1), ceil(width / d1)
    flops = 2 * tokens * v1 * r * d2 * (d1 + v2)

    def work(passes: int, dtype: torch.dtype) -> Work:
        moved = tokens * (vocabulary + passes * width) + passes * r * (v1 * d1 + v2 * d2)
        return Work(passes * flops, dtype.itemsize * moved)

    return Case(
        name=f"{tokens} tokens, {vocabulary}x{width}, rank {r}",
        make_inputs=partial(_hidden, (tokens, vocabulary, width, r)),
        forward=partial(work, 1),
        backward=partial(work, 2),
        k=4.0,
        why="the sum over the ranks is added up in another order",
    )


LOGITS = (logits(8192, 50257, 4096, 16),)
