"""Sizes at which hyperbolic attention is checked and timed."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kernels.case import Case, Work


def _inputs(
    shape: tuple[int, ...], device: torch.device | str, dtype: torch.dtype, seed: int, *, causal: bool
) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)
    q, k, v = (torch.randn(shape, generator=random, device=device) for _ in range(3))
    # Points at radii up to 0.9 of a ball of curvature -1.
    q, k = (0.9 * x / (1 + x.norm(dim=-1, keepdim=True)) for x in (q, k))
    beta, curvature = (torch.tensor(x, device=device) for x in (1.5, 1.0))
    given = {"q": q.to(dtype), "k": k.to(dtype), "v": v.to(dtype), "beta": beta, "curvature": curvature}
    return given | {"causal": causal}


def case(batch: int, heads: int, tokens: int, width: int, *, causal: bool = False) -> Case:
    """`heads` heads of `batch` sequences."""
    pairs = batch * heads * tokens * tokens // (2 if causal else 1)
    rows = batch * heads * tokens

    def work(products: int, tensors: int, dtype: torch.dtype) -> Work:
        return Work(2 * products * pairs * width, rows * (tensors * width * dtype.itemsize + 4))

    return Case(
        name=f"B{batch} H{heads} N{tokens} D{width}" + (" causal" if causal else ""),
        make_inputs=partial(_inputs, (batch, heads, tokens, width), causal=causal),
        forward=partial(work, 2, 4),
        backward=partial(work, 5, 8),
        k=8.0,
        why="tensor cores take rounded weights and gradients, and gradients of scores start from a rounded output",
    )


CASES = (case(4, 32, 4096, 64), case(4, 16, 4096, 128), case(4, 32, 4096, 64, causal=True))
