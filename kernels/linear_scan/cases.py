"""Sizes at which the linear recurrence is checked and timed."""

from __future__ import annotations

from functools import partial
from math import prod, tau
from typing import Any

import torch

from kernels.case import Case, Work


def _inputs(
    shape: tuple[int, ...], device: torch.device | str, dtype: torch.dtype, seed: int, *, decay: bool = True
) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)
    real = torch.float32
    b = torch.randn(shape, generator=random, device=device, dtype=dtype if dtype.is_complex else real).to(dtype)
    if not decay:
        return {"a": None, "b": b}
    a = torch.rand(shape, generator=random, device=device)
    if dtype.is_complex:
        a = torch.polar(a, tau * torch.rand(shape, generator=random, device=device))
    return {"a": a.to(dtype), "b": b}


def case(*shape: int, decay: bool = True) -> Case:
    """Sequences along the last axis; without `decay` their cumulative sum."""
    elements = prod(shape)

    def work(per_element: int, tensors: int, dtype: torch.dtype) -> Work:
        return Work(per_element * (4 if dtype.is_complex else 1) * elements, tensors * dtype.itemsize * elements)

    return Case(
        name="x".join(map(str, shape)) + ("" if decay else " cumulative sum"),
        make_inputs=partial(_inputs, shape, decay=decay),
        forward=partial(work, 2, 3) if decay else partial(work, 1, 2),
        backward=partial(work, 3, 5) if decay else partial(work, 1, 2),
        k=4.0,
        why="a tree of maps rounds in another order than the loop, and a loop over few elements can be lucky",
    )


CASES = (case(8, 1536, 2048), case(8, 1536, 16384), case(8, 1536, 16384, decay=False))
