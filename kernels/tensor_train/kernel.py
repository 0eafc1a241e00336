"""The tensor-train look-up in Triton: gather, contract and crop in one pass that writes each embedding once."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 64
"""Rows p of a token's (d1, d2) embedding that one program forms, at most."""
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
@no_type_check
def _dot(x, y):
    """Exact products, added up in float32."""
    if INTERPRETED:  # which would multiply the bits of a bfloat16
        x, y = x.to(tl.float32), y.to(tl.float32)
    return tl.dot(x, y, input_precision="ieee")


@triton.jit
@no_type_check
def _forward(index, core1, core2, out, v1, v2, r, d1, d2, width, P: tl.constexpr, Q: tl.constexpr, R: tl.constexpr):
    """One token: out[p, q] = sum_rho C1[i1, rho, p] C2[i2, rho, q]. An index outside the table gives NaN."""
    token = tl.program_id(0).to(tl.int64)
    t = tl.load(index + token).to(tl.int64)
    known = (t >= 0) & (t < v1 * v2)
    core1 += tl.where(known, t // v2, 0) * r * d1
    core2 += tl.where(known, t % v2, 0) * r * d2
    p, q, rho = tl.program_id(1) * P + tl.arange(0, P), tl.arange(0, Q), tl.arange(0, R)
    x = tl.load(core1 + rho[None, :] * d1 + p[:, None], mask=(rho[None, :] < r) & (p[:, None] < d1), other=0.0)
    y = tl.load(core2 + rho[:, None] * d2 + q[None, :], mask=(rho[:, None] < r) & (q[None, :] < d2), other=0.0)
    e = tl.where(known, _dot(x, y), float("nan"))
    column = p[:, None] * d2 + q[None, :]
    tl.store(out + token * width + column, e, mask=(q[None, :] < d2) & (column < width))


@triton.jit
@no_type_check
def _backward(
    g, index, core1, core2, dcore1, dcore2, v2, r, d1, d2, width, P: tl.constexpr, Q: tl.constexpr, R: tl.constexpr
):
    """One token adds g C2[i2] to dC1[i1] and C1[i1] g to dC2[i2], in float32."""
    token = tl.program_id(0).to(tl.int64)
    t = tl.load(index + token).to(tl.int64)
    first, second = t // v2 * r * d1, t % v2 * r * d2
    p, q, rho = tl.program_id(1) * P + tl.arange(0, P), tl.arange(0, Q), tl.arange(0, R)
    column = p[:, None] * d2 + q[None, :]
    g_pq = tl.load(g + token * width + column, mask=(q[None, :] < d2) & (column < width), other=0.0)
    at_p, in_p = rho[:, None] * d1 + p[None, :], (rho[:, None] < r) & (p[None, :] < d1)
    at_q, in_q = rho[:, None] * d2 + q[None, :], (rho[:, None] < r) & (q[None, :] < d2)
    x = tl.load(core1 + first + at_p, mask=in_p, other=0.0)
    y = tl.load(core2 + second + at_q, mask=in_q, other=0.0)
    dx = _dot(y, tl.trans(g_pq))  # of a loaded tile, never of an accumulator
    dy = _dot(x, g_pq)
    tl.atomic_add(dcore1 + first + at_p, dx, mask=in_p, sem="relaxed")
    tl.atomic_add(dcore2 + second + at_q, dy, mask=in_q, sem="relaxed")


def _launch(index: Tensor, r: int, d1: int, d2: int) -> tuple[tuple[int, int], dict[str, int]]:
    sizes = [max(16, triton.next_power_of_2(n)) for n in (min(d1, ROWS), d2, r)]
    warps = 4 if sizes[0] * sizes[1] <= 4096 else 8
    return (index.numel(), triton.cdiv(d1, sizes[0])), dict(zip("PQR", sizes, strict=True)) | {"num_warps": warps}


def forward(index: Tensor, core1: Tensor, core2: Tensor, width: int) -> Tensor:
    """Return the embeddings; all tensors contiguous."""
    out = torch.empty((*index.shape, width), dtype=core1.dtype, device=core1.device)
    (v1, r, d1), (v2, _, d2) = core1.shape, core2.shape
    grid, sizes = _launch(index, r, d1, d2)
    if index.numel():
        _forward[grid](index, core1, core2, out, v1, v2, r, d1, d2, width, **sizes)
    return out


def backward(g: Tensor, index: Tensor, core1: Tensor, core2: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of the cores, added up in float32 by atomics, in no fixed order."""
    dcore1, dcore2 = (torch.zeros_like(core, dtype=torch.float32) for core in (core1, core2))
    (_, r, d1), (v2, _, d2) = core1.shape, core2.shape
    grid, sizes = _launch(index, r, d1, d2)
    if index.numel():
        _backward[grid](g, index, core1, core2, dcore1, dcore2, v2, r, d1, d2, g.shape[-1], **sizes)
    return dcore1.to(core1.dtype), dcore2.to(core2.dtype)
