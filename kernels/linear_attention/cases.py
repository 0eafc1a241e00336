"""Sizes at which linear attention is checked and timed: causal, with elu + 1."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kernels.case import Case, Work
from kernels.linear_attention.reference import CHUNK


def _inputs(
    shape: tuple[int, ...], device: torch.device | str, dtype: torch.dtype, seed: int, *, curved: bool
) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)
    scale = 0.5 * shape[-1] ** -0.5 if curved else 1.0
    q, k, v = ((scale * torch.randn(shape, generator=random, device=device)).to(dtype) for _ in range(3))
    given: dict[str, Any] = {"q": q, "k": k, "v": v, "causal": True, "feature": "elu"}
    return given | {"curvature": torch.tensor(1.0, device=device)} if curved else given


def case(batch: int, tokens: int, heads: int, width: int, *, curved: bool = False) -> Case:
    """`heads` heads of `batch` sequences, of features or of points of the ball (`curved`)."""
    rows = batch * heads * tokens

    def work(products: int, tensors: int, dtype: torch.dtype) -> Work:
        # Each product meets the chunk's tokens and the state: 2 (CHUNK + width) width operations per token.
        return Work(rows * products * (CHUNK + width) * width * 2, rows * width * tensors * dtype.itemsize)

    return Case(
        name=f"B{batch} T{tokens} H{heads} D{width}" + (" ball" if curved else ""),
        make_inputs=partial(_inputs, (batch, heads, tokens, width), curved=curved),
        forward=partial(work, 2, 4),
        backward=partial(work, 5, 8),
        k=4.0,
        why="inner products and the carried state are rounded for the tensor cores, which the plain sums are not",
    )


CASES = (case(4, 4096, 32, 64), case(4, 4096, 64, 128), case(4, 4096, 32, 64, curved=True))
