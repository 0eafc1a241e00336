"""Launches of the kernels: how a row is cut, and what passes from one launch to the next."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernels.bk_core import kernel, sizes
from kernels.triton import following

FEWEST, MOST = 32, 256
"""Threads of a program: one warp needs no barrier, but a row of many segments takes larger ones."""
SEGMENTS = 256
"""Segments of a row, at most while a program has not `MOST` threads: each program joins the maps of all."""
LANES = 32
"""Threads that join them, at most."""


def _power_of_2(size: int) -> int:
    return 1 << (size - 1).bit_length()


def cut(n: int) -> tuple[int, int]:
    """Return the threads of a program and the segments of a row."""
    threads = min(max(FEWEST, _power_of_2(-(-n // (SEGMENTS * sizes.ROWS)))), MOST)
    return threads, -(-n // (threads * sizes.ROWS))


def _shape(threads: int) -> dict[str, Any]:
    return {"T": threads, "K": sizes.ROWS, "num_warps": max(1, threads // 32), **following()}


def _lanes(segments: int, most: int) -> int:
    return min(most, _power_of_2(segments)) if segments > 1 else 0


def forward(a: Tensor, b: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return G and what enters each thread's rows; all tensors contiguous."""
    n, rows = a.shape[-1], a.numel() // a.shape[-1]
    threads, segments = cut(n)
    grid, shape = (rows, segments), _shape(threads)
    out, states = z.new_empty(a.shape), z.new_empty(*z.shape, -(-n // sizes.ROWS), 2)
    maps = torch.empty(rows, 6, segments, device=a.device)
    z_, out_, states_ = map(torch.view_as_real, (z, out, states))
    if segments > 1:
        kernel.forward_maps[grid](a, b, c, z_, maps, n, **shape)
    kernel.forward[grid](a, b, c, z_, maps, out_, states_, n, LANES=_lanes(segments, LANES), **shape)
    return out, states


def backward(
    g: Tensor, a: Tensor, b: Tensor, c: Tensor, z: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, c and z."""
    n, rows = a.shape[-1], a.numel() // a.shape[-1]
    threads, segments = cut(n)
    grid, shape = (rows, segments), _shape(threads)
    da, db, dc = map(torch.empty_like, (a, b, c))
    dz = z.new_empty(*z.shape, segments)
    maps = torch.empty(rows, 8, segments, device=a.device)
    g_, z_, states_, dz_ = map(torch.view_as_real, (g, z, states, dz))
    if segments > 1:
        kernel.backward_maps[grid](g_, a, b, c, z_, states_, maps, n, **shape)
    lanes = _lanes(segments, LANES // 2)
    kernel.backward[grid](g_, a, b, c, z_, states_, maps, da, db, dc, dz_, n, LANES=lanes, **shape)
    return da, db, dc, dz.sum(-1) if segments > 1 else dz.squeeze(-1)
