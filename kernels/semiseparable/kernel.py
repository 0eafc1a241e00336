"""(T + U V^T) x in Triton: one reading of x for V^T x, a second for the output; and the parameters' gradients."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 32
"""Sequence positions of a tile, at most; taller tiles spill registers."""
COLUMN_BYTES = 256
"""Width of a tile, at most; the parameters' gradients, which need four tiles at once, take half in half precision."""
PROGRAMS = 512
"""About as many programs share the sum over the sequence; each adds up a segment of its own."""
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
def _tile(x, first, row, j, rows, d):
    """x[first + row, j], and 0 outside; only the tile's start needs 64 bits."""
    n = first + row[:, None]
    mask = (n >= 0) & (n < rows) & (j[None, :] < d)
    return tl.load(x + tl.cast(first, tl.int64) * d + (row[:, None] * d + j[None, :]), mask=mask, other=0.0)


@triton.jit
@no_type_check
def _project(v, x, partial, rows, d, r, segment, N: tl.constexpr, D: tl.constexpr, R: tl.constexpr):
    """partial[split, batch] = V^T x over one segment of the sequence."""
    batch, split = tl.program_id(2).to(tl.int64), tl.program_id(1)
    j, rho = tl.program_id(0) * D + tl.arange(0, D), tl.arange(0, R)
    x += batch * rows * d
    total = tl.zeros((R, D), tl.float32)
    end = tl.minimum(rows, (split + 1) * segment)
    for start in range(split * segment, end, N):
        n = start + tl.arange(0, N)
        at, known = n[None, :] * r + rho[:, None], (n[None, :] < end) & (rho[:, None] < r)
        total += _dot(tl.load(v + at, mask=known, other=0.0), _tile(x, start, tl.arange(0, N), j, end, d))
    partial += (split * tl.num_programs(2) + batch) * r * d
    tl.store(partial + rho[:, None] * d + j[None, :], total, mask=(rho[:, None] < r) & (j[None, :] < d))


@triton.jit
@no_type_check
def _apply(x, a, b, c, u, w, y, rows, d, r, N: tl.constexpr, D: tl.constexpr, R: tl.constexpr):
    """y_n = a_n x_n + b_n x_(n+1) + c_(n-1) x_(n-1) + U_n w."""
    batch = tl.program_id(2).to(tl.int64)
    first, row, rho = tl.program_id(0) * N, tl.arange(0, N), tl.arange(0, R)
    n, j = first + row, tl.program_id(1) * D + tl.arange(0, D)
    x, y, w = x + batch * rows * d, y + batch * rows * d, w + batch * r * d
    inside = n < rows
    a_n = tl.load(a + n, mask=inside, other=0.0).to(tl.float32)
    b_n = tl.load(b + n, mask=n < rows - 1, other=0.0).to(tl.float32)
    c_n = tl.load(c + n - 1, mask=(n >= 1) & inside, other=0.0).to(tl.float32)
    u_n = tl.load(u + n[:, None] * r + rho[None, :], mask=inside[:, None] & (rho[None, :] < r), other=0.0)
    w_j = tl.load(w + rho[:, None] * d + j[None, :], mask=(rho[:, None] < r) & (j[None, :] < d), other=0.0)
    y_n = _dot(u_n, w_j.to(u_n.dtype))
    y_n += a_n[:, None] * _tile(x, first, row, j, rows, d).to(tl.float32)
    y_n += b_n[:, None] * _tile(x, first, row + 1, j, rows, d).to(tl.float32)
    y_n += c_n[:, None] * _tile(x, first, row - 1, j, rows, d).to(tl.float32)
    at = row[:, None] * d + j[None, :]
    tl.store(y + first.to(tl.int64) * d + at, y_n, mask=inside[:, None] & (j[None, :] < d))


@triton.jit
@no_type_check
def _parameters(
    g, x, vx, ug, da, db, dc, du, dv, batches, rows, d, r, N: tl.constexpr, D: tl.constexpr, R: tl.constexpr
):
    """Sums over batch and features: da = g x, db = g x_(n+1), dc = g_(n+1) x, dU = g (V^T x), dV = x (U^T g)."""
    first, row, rho = tl.program_id(0) * N, tl.arange(0, N), tl.arange(0, R)
    n = first + row
    inside = n < rows
    da_n, db_n, dc_n = tl.zeros((N,), tl.float32), tl.zeros((N,), tl.float32), tl.zeros((N,), tl.float32)
    du_n, dv_n = tl.zeros((N, R), tl.float32), tl.zeros((N, R), tl.float32)
    for _ in range(batches):
        du_b, dv_b = tl.zeros((N, R), tl.float32), tl.zeros((N, R), tl.float32)  # shorter sums round less
        for start in range(0, d, D):
            j = start + tl.arange(0, D)
            g_n, x_n = _tile(g, first, row, j, rows, d), _tile(x, first, row, j, rows, d)
            g_next, x_next = _tile(g, first, row + 1, j, rows, d), _tile(x, first, row + 1, j, rows, d)
            at, known = rho[None, :] * d + j[:, None], (rho[None, :] < r) & (j[:, None] < d)
            du_b += _dot(g_n, tl.load(vx + at, mask=known, other=0.0).to(g_n.dtype))
            dv_b += _dot(x_n, tl.load(ug + at, mask=known, other=0.0).to(x_n.dtype))
            g_n, x_n = g_n.to(tl.float32), x_n.to(tl.float32)
            da_n += tl.sum(g_n * x_n, 1)
            db_n += tl.sum(g_n * x_next.to(tl.float32), 1)
            dc_n += tl.sum(g_next.to(tl.float32) * x_n, 1)
        du_n, dv_n = du_n + du_b, dv_n + dv_b
        g, x, vx, ug = g + rows * d, x + rows * d, vx + r * d, ug + r * d
    tl.store(da + n, da_n, mask=inside)
    tl.store(db + n, db_n, mask=n < rows - 1)
    tl.store(dc + n, dc_n, mask=n < rows - 1)
    at, known = n[:, None] * r + rho[None, :], inside[:, None] & (rho[None, :] < r)
    tl.store(du + at, du_n, mask=known)
    tl.store(dv + at, dv_n, mask=known)


def _sizes(x: Tensor, r: int, columns: int) -> dict[str, int]:
    bounds = {"N": min(ROWS, x.shape[-2]), "D": min(columns, x.shape[-1]), "R": r}
    return {name: max(16, triton.next_power_of_2(n)) for name, n in bounds.items()}


def project(v: Tensor, x: Tensor) -> Tensor:
    """Return V^T x in float32; `x` has the shape (B, N, d), and all tensors are contiguous."""
    (batches, rows, d), r, sizes = x.shape, v.shape[-1], _sizes(x, v.shape[-1], COLUMN_BYTES // x.itemsize)
    tiles = triton.cdiv(d, sizes["D"])
    splits = max(1, min(PROGRAMS // (tiles * batches), triton.cdiv(rows, sizes["N"])))
    segment = triton.cdiv(triton.cdiv(rows, splits), sizes["N"]) * sizes["N"]
    splits = triton.cdiv(rows, segment)
    partial = torch.empty(splits, batches, r, d, dtype=torch.float32, device=x.device)
    _project[(tiles, splits, batches)](v, x, partial, rows, d, r, segment, **sizes)
    return partial.sum(0)


def apply(x: Tensor, a: Tensor, b: Tensor, c: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """Return T x + U w."""
    (batches, rows, d), r, y = x.shape, u.shape[-1], torch.empty_like(x)
    sizes = _sizes(x, r, COLUMN_BYTES // x.itemsize)
    grid = (triton.cdiv(rows, sizes["N"]), triton.cdiv(d, sizes["D"]), batches)
    _apply[grid](x, a, b, c, u, w, y, rows, d, r, **sizes)
    return y


def parameters(g: Tensor, x: Tensor, vx: Tensor, ug: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, c, U and V."""
    (batches, rows, d), r = x.shape, vx.shape[-2]
    shapes = ((rows,), (rows - 1,), (rows - 1,), (rows, r), (rows, r))
    da, db, dc, du, dv = (x.new_empty(shape) for shape in shapes)
    sizes = _sizes(x, r, COLUMN_BYTES // 4)
    grid = (triton.cdiv(rows, sizes["N"]),)
    _parameters[grid](g, x, vx, ug, da, db, dc, du, dv, batches, rows, d, r, **sizes)
    return da, db, dc, du, dv
