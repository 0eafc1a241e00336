"""Sizes at which the resolvent's diagonal is checked and timed."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kernels.case import Case, Work

COMPLEX = torch.complex64.itemsize


def _inputs(batch: int, n: int, device: torch.device | str, dtype: torch.dtype, seed: int) -> dict[str, Any]:
    """Random entries with b c >= 0, where the fractions are sure to exist, and Im z between 0.1 and 1.1."""
    random = torch.Generator(device).manual_seed(seed)
    a = torch.randn(batch, n, generator=random, device=device)
    b, c = (torch.randn(batch, n - 1, generator=random, device=device) for _ in range(2))
    x, y = (f(batch, generator=random, device=device) for f in (torch.randn, torch.rand))
    return {"a": a.to(dtype), "b": b.to(dtype), "c": (c.abs() * b.sign()).to(dtype), "z": torch.complex(x, y + 0.1)}


def case(batch: int, n: int) -> Case:
    """`batch` matrices of `n` rows."""

    def work(flops: int, reals: int, complexes: int, dtype: torch.dtype) -> Work:
        return Work(flops * batch * n, (reals * dtype.itemsize + complexes * COMPLEX) * batch * n)

    return Case(
        name=f"{batch}x{n}",
        make_inputs=partial(_inputs, batch, n),
        forward=partial(work, 34, 3, 1),
        backward=partial(work, 110, 6, 1),
        k=8.0,
        why="a tree of fractions rounds elsewhere than the loop, and the condition of T magnifies either's luck",
    )


CASES = (case(16, 4096), case(128, 16384), case(512, 16384), case(1, 1048576))
