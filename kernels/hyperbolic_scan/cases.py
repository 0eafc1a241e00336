"""Sizes at which the Moebius recurrence is checked and timed."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kernels.case import Case, Work


def _inputs(
    rows: int, steps: int, width: int, device: torch.device | str, dtype: torch.dtype, seed: int, *, shared: bool
) -> dict[str, Any]:
    random = torch.Generator(device).manual_seed(seed)
    a = 0.5 + 0.5 * torch.rand(rows, steps, 1 if shared else width, generator=random, device=device)
    b = torch.randn(rows, steps, width, generator=random, device=device)
    b = 0.3 * b / (1 + b.norm(dim=-1, keepdim=True))
    return {"a": a.to(dtype), "b": b.to(dtype), "curvature": torch.tensor(1.0, device=device)}


def case(rows: int, steps: int, width: int, *, shared: bool = False) -> Case:
    """`rows` sequences, with a factor per channel or one for all (`shared`)."""
    elements = rows * steps * width

    def work(flops: int, read: int, written: int, dtype: torch.dtype) -> Work:
        # States are float32 whatever the inputs are.
        return Work(flops * elements, elements * (read * dtype.itemsize + written * 4))

    return Case(
        name=f"{rows}x{steps}x{width}" + (" one factor" if shared else ""),
        make_inputs=partial(_inputs, rows, steps, width, shared=shared),
        forward=partial(work, 15, 2, 1),
        backward=partial(work, 45, 4, 2),
        k=8.0,
        why="errors travel along the recurrence, and a definition that is lucky on few elements sets the unit",
    )


CASES = (case(128, 4096, 64), case(128, 4096, 64, shared=True), case(1024, 4096, 64))
