"""Sizes at which the low-rank feed-forward network is checked and timed: f = 4 d."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kernels.case import Case, Work


def _inputs(
    tokens: int, width: int, rank: int, at_rank: str | None, device: torch.device | str, dtype: torch.dtype, seed: int
) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        scale = 1.0 if shape[0] == tokens else shape[1] ** -0.5
        return (scale * torch.randn(shape, generator=random, device=device)).to(dtype)

    return {
        "x": normal(tokens, width),
        "down": normal(rank, width),
        "expand": normal(4 * width, rank),
        "contract": normal(rank, 4 * width),
        "up": normal(width, rank),
        "activation": "gelu" if at_rank is None else "relu",
        "at_rank": at_rank,
    }


def case(tokens: int, width: int, rank: int, at_rank: str | None = None) -> Case:
    """A network of rank `rank`, with an activation at rank or none."""
    weights = 10 * width * rank

    def forward(dtype: torch.dtype) -> Work:
        return Work(2 * tokens * weights, dtype.itemsize * (2 * tokens * width + weights))

    def backward(dtype: torch.dtype) -> Work:
        # Two products per map, and the hidden layer again.
        return Work(tokens * (4 * weights + 8 * width * rank), dtype.itemsize * (3 * tokens * width + 2 * weights))

    return Case(
        name=f"T={tokens} d={width} r={rank}" + (f" {at_rank} at rank" if at_rank else ""),
        make_inputs=partial(_inputs, tokens, width, rank, at_rank),
        forward=forward,
        backward=backward,
        k=4.0,
        why="the gradients of E and C are rounded once per slice of tokens: 8 times at most, and sqrt(8) < 4",
    )


CASES = (case(4096, 1024, 128), case(16384, 4096, 512), case(16384, 4096, 512, "relu"))

RANKS, TOKENS = (16, 64, 128, 256, 512, 1024), (1, 64, 1024, 16384, 65536)
MORE = tuple(case(tokens, 4096, rank) for rank in RANKS for tokens in TOKENS)
"""Sizes at which nothing but the definition is a rival: from decoding to long batches, from thin to wide ranks."""
