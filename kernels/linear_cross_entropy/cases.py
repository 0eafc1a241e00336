"""Sizes at which the linear cross-entropy is checked and timed."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kernels.case import Case, Work


def _inputs(
    tokens: int,
    vocabulary: int,
    width: int,
    rank: int | None,
    device: torch.device | str,
    dtype: torch.dtype,
    seed: int,
) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return (scale * torch.randn(shape, generator=random, device=device)).to(dtype)

    target = torch.randint(vocabulary, (tokens,), generator=random, device=device)
    target[::17] = -100
    inner = rank or width
    given = {"hidden": normal(tokens, width), "weight": normal(vocabulary, inner, scale=inner**-0.5), "target": target}
    return given if rank is None else given | {"down": normal(rank, width, scale=width**-0.5)}


def case(tokens: int, vocabulary: int, width: int, rank: int | None = None) -> Case:
    """A dense head, or one of rank `rank`."""
    inner = rank or width
    first = 0 if rank is None else rank * width
    product, read = 2 * tokens * vocabulary * inner, tokens * width + vocabulary * inner + first

    def forward(dtype: torch.dtype) -> Work:
        # The loss alone: one product. Gradients that are wanted are formed here too, but count below.
        return Work(product + 2 * tokens * first, dtype.itemsize * read + 8 * tokens)

    def backward(dtype: torch.dtype) -> Work:
        # Two products per map; what was read is read again, and has a gradient of its size.
        return Work(2 * product + 4 * tokens * first, dtype.itemsize * 2 * read)

    return Case(
        name=f"T={tokens} V={vocabulary} d={width}" + ("" if rank is None else f" r={rank}"),
        make_inputs=partial(_inputs, tokens, vocabulary, width, rank),
        forward=forward,
        backward=backward,
        k=4.0,
        why="the weight's gradient is rounded once per chunk of tokens, 16 times for the largest size: sqrt(16) = 4",
    )


CASES = (case(2048, 32000, 1024), case(8192, 50257, 4096), case(8192, 50257, 4096, 512))

MORE = (case(8192, 32000, 4096), case(2048, 152064, 4096))
"""Vocabularies smaller and larger than that, both even."""
