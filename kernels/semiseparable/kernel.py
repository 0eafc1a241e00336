"""(T + U V^T) x in Triton: one reading of x for V^T x, a second for the output; likewise g for all gradients.

A tile of rows meets the others through V^T x and through the rows just before and after it. With T_t what T has inside
the tile, these two rows count as rows of V^T x, and what T has beside T_t as columns of U:

    y = T_t x + [U, c e_first, b e_last] [V^T x; x_before; x_after].
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton import dot, follow, following, power_of_2, rounded

TILES = {2: ((32, 128), (32, 128), (32, 64)), 4: ((32, 64), (16, 64), (16, 16))}
"""By the bytes of a number, the most rows and columns of a tile: of the sum V^T x, of the product, of the gradients.

They are what registers hold. In half precision the columns are whole lines of the cache.
"""
MULTIPROCESSORS = 132
"""Those of an H100."""
PROGRAMS = 3 * MULTIPROCESSORS
"""As many programs, at most, share the sum over the sequence: three on each multiprocessor of an H100, all at once."""
STAGES = 4
"""So many tiles of that sum are on their way or being added."""


@triton.jit
@no_type_check
def _store(x, value, mask):
    """Write values in the type of x, rounded to nearest; the cache need not keep them."""
    if x.dtype.element_ty == tl.bfloat16:
        value = rounded(value)
    tl.store(x, value, mask=mask, eviction_policy="evict_first")


@triton.jit
@no_type_check
def _at(first, row, j, d):
    """Where x[first + row, j] is; only the tile's start needs 64 bits."""
    return tl.cast(first, tl.int64) * d + (row[:, None] * d + j[None, :])


@triton.jit
@no_type_check
def _known(first, row, j, rows, d):
    """Whether x has an element [first + row, j]."""
    return (first + row < rows)[:, None] & (j < d)[None, :]


@triton.jit
@no_type_check
def _tile(x, first, row, j, rows, d, KEEP: tl.constexpr):
    """x[first + row, j], and 0 outside; KEEP it in the cache, or rather something else."""
    at, known = x + _at(first, row, j, d), _known(first, row, j, rows, d)
    return tl.load(at, mask=known, other=0.0, eviction_policy="" if KEEP else "evict_first")


@triton.jit
@no_type_check
def _transposed(v, first, row, rho, rows, r):
    """V^T of a tile of rows, and 0 outside."""
    n = (first + row)[None, :]
    return tl.load(v + n * r + rho[:, None], mask=(n < rows) & (rho[:, None] < r), other=0.0)


@triton.jit
@no_type_check
def _project(
    v, x, partial, rows, d, r,
    N: tl.constexpr, D: tl.constexpr, R: tl.constexpr, STAGES: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """partial[split, batch] = V^T x over every so many tiles: the programs walk down x side by side."""
    follow(FOLLOWS)
    batch, split, step = tl.program_id(2).to(tl.int64), tl.program_id(1), tl.num_programs(1) * N
    row, j, rho = tl.arange(0, N), tl.program_id(0) * D + tl.arange(0, D), tl.arange(0, R)
    x += batch * rows * d
    # Less the sum: added to it, Triton would let a tile's additions go on from the last one's, which rounds more.
    total = tl.zeros((R, D), tl.float32)
    # V a tile ahead by loads of its own: with rows of any r numbers it has no asynchronous ones.
    next_v = _transposed(v, split * N, row, rho, rows, r)
    for first in tl.range(split * N, rows, step, num_stages=STAGES):
        v_n, next_v = next_v, _transposed(v, first + step, row, rho, rows, r)
        total -= dot(v_n, _tile(x, first, row, j, rows, d, True), "ieee")
    partial += (split * tl.num_programs(2) + batch) * r * d
    tl.store(partial + rho[:, None] * d + j[None, :], -total, mask=(rho[:, None] < r) & (j[None, :] < d))


@triton.jit
@no_type_check
def _add(partial, w, splits, size, SPLITS: tl.constexpr, SIZE: tl.constexpr, FOLLOWS: tl.constexpr):
    """Add up partial sums, to w in the type of x."""
    follow(FOLLOWS)
    i, split = tl.program_id(0) * SIZE + tl.arange(0, SIZE), tl.arange(0, SPLITS)[:, None]
    total = tl.zeros((SIZE,), tl.float32)
    for first in range(0, splits, SPLITS):
        known = (first + split < splits) & (i < size)[None, :]
        total += tl.sum(tl.load(partial + (first + split) * size + i[None, :], mask=known, other=0.0), 0)
    if w.dtype.element_ty == tl.bfloat16:
        total = rounded(total)
    tl.store(w + i, total, mask=i < size)


@triton.jit
@no_type_check
def _band(a, b, c, first, row, rows):
    """T_t: what T has between the rows of a tile."""
    n, down, right = first + row, row[:, None], row[None, :]
    a_n = tl.load(a + n, mask=n < rows, other=0.0)
    b_n = tl.load(b + n, mask=n < rows - 1, other=0.0)
    c_n = tl.load(c + n - 1, mask=(row > 0) & (n < rows), other=0.0)
    zero = tl.zeros_like(a_n)[:, None]
    beside = tl.where(right == down + 1, b_n[:, None], tl.where(right == down - 1, c_n[:, None], zero))
    return tl.where(right == down, a_n[:, None], beside)


@triton.jit
@no_type_check
def _columns(u, b, c, first, row, rho, rows, r, N: tl.constexpr):
    """[U, c e_first, b e_last], of the rows of a tile."""
    n = (first + row)[:, None]
    left = (rho == r)[None, :] & (row == 0)[:, None] & (n > 0) & (n < rows)
    right = (rho == r + 1)[None, :] & (row == N - 1)[:, None] & (n < rows - 1)
    at = tl.where(rho[None, :] < r, u + n * r + rho[None, :], tl.where(left, c + n - 1, b + n))
    return tl.load(at, mask=((rho < r)[None, :] & (n < rows)) | left | right, other=0.0)


@triton.jit
@no_type_check
def _beside(w, x, first, rho, j, rows, d, r, N: tl.constexpr):
    """[w; x_before; x_after]: what a tile meets of the other rows."""
    n = tl.where(rho == r, first - 1, first + N)
    at = tl.where((rho < r)[:, None], w + (rho[:, None] * d + j[None, :]), x + _at(0, n.to(tl.int64), j, d))
    known = (rho < r) | ((rho < r + 2) & (n >= 0) & (n < rows))
    return tl.load(at, mask=known[:, None] & (j < d)[None, :], other=0.0)


@triton.jit
@no_type_check
def _apply(
    x, a, b, c, u, w, y, batches, rows, d, r,
    N: tl.constexpr, D: tl.constexpr, R: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """y_n = a_n x_n + b_n x_(n+1) + c_(n-1) x_(n-1) + U_n w, from the last rows up: those of x were read last."""
    follow(FOLLOWS)
    program = tl.num_programs(0) - 1 - tl.program_id(0)
    batch, first = (program % batches).to(tl.int64), program // batches * N
    row, rho = tl.arange(0, N), tl.arange(0, R)
    band, columns = _band(a, b, c, first, row, rows), _columns(u, b, c, first, row, rho, rows, r, N)
    x, y, w = x + batch * rows * d, y + batch * rows * d, w + batch * r * d
    for start in range(0, d, D):
        j = start + tl.arange(0, D)
        x_n, beside = _tile(x, first, row, j, rows, d, False), _beside(w, x, first, rho, j, rows, d, r, N)
        y_n = dot(band, x_n, "ieee") + dot(columns, beside, "ieee")
        _store(y + _at(first, row, j, d), y_n, _known(first, row, j, rows, d))


@triton.jit
@no_type_check
def _gradients(
    g, x, a, b, c, v, vx, ug, dx, da, db, dc, du, dv, batches, rows, d, r,
    N: tl.constexpr, D: tl.constexpr, R: tl.constexpr, W: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """Dx, and products of g and x summed over batch and features, for a tile of rows; from the last rows up.

    dx = T^T g + V (U^T g), da = g x, db = g x_(n+1), dc = g_(n+1) x, dU = g (V^T x), dV = x (U^T g).
    """
    follow(FOLLOWS)
    first, row, rho = (tl.num_programs(0) - 1 - tl.program_id(0)) * N, tl.arange(0, N), tl.arange(0, R)
    band, columns = _band(a, c, b, first, row, rows), _columns(v, c, b, first, row, rho, rows, r, N)
    # Less the sums, as above.
    gx, gw, xw = tl.zeros((N, N), tl.float32), tl.zeros((N, W), tl.float32), tl.zeros((N, R), tl.float32)
    across = tl.cdiv(d, D)
    next_g = _tile(g, first, row, tl.arange(0, D), rows, d, False)
    next_x = _tile(x, first, row, tl.arange(0, D), rows, d, False)
    for i in range(batches * across):
        batch, j, g_n, x_n = (i // across).to(tl.int64), i % across * D + tl.arange(0, D), next_g, next_x
        w = _tile(vx + batch * r * d, 0, tl.arange(0, W), j, r, d, True)
        beside = _beside(ug + batch * r * d, g + batch * rows * d, first, rho, j, rows, d, r, N)
        xw -= dot(x_n, tl.trans(beside), "ieee")
        gx -= dot(g_n, tl.trans(x_n), "ieee")
        gw -= dot(g_n, tl.trans(w), "ieee")
        # The next tiles by loads of their own: asynchronous ones cannot tell the cache what it need not keep.
        then, next_j = ((i + 1) // across).to(tl.int64), (i + 1) % across * D + tl.arange(0, D)
        left = tl.where(then < batches, rows, 0)
        next_g = _tile(g + then * rows * d, first, row, next_j, left, d, False)
        next_x = _tile(x + then * rows * d, first, row, next_j, left, d, False)
        dx_n = dot(band, g_n, "ieee") + dot(columns, beside, "ieee")
        _store(dx + batch * rows * d + _at(first, row, j, d), dx_n, _known(first, row, j, rows, d))
    tl.store(du + _at(first, row, tl.arange(0, W), r), -gw, mask=_known(first, row, tl.arange(0, W), rows, r))
    tl.store(dv + _at(first, row, rho, r), -xw, mask=_known(first, row, rho, rows, r))
    _store_band(da, db, dc, -gx, -xw, first, row, rho, rows, r, N)


@triton.jit
@no_type_check
def _store_band(da, db, dc, gx, xw, first, row, rho, rows, r, N: tl.constexpr):
    """Of all g_n x_m of a tile those of m = n, n + 1 and n - 1; and x_first g_before and x_last g_after."""
    n, down, right = first + row, row[:, None], row[None, :]
    inner = (row < N - 1) & (n < rows - 1)
    tl.store(da + n, tl.sum(tl.where(right == down, gx, 0.0), 1), mask=n < rows)
    tl.store(db + n, tl.sum(tl.where(right == down + 1, gx, 0.0), 1), mask=inner)
    tl.store(dc + n, tl.sum(tl.where(right == down - 1, gx, 0.0), 0), mask=inner)
    at, before, after = n[:, None] + tl.zeros_like(rho)[None, :], (rho == r)[None, :], (rho == r + 1)[None, :]
    tl.store(db + at - 1, xw, mask=before & ((row == 0) & (n > 0))[:, None])
    tl.store(dc + at, xw, mask=after & ((row == N - 1) & (n < rows - 1))[:, None])


def _sizes(rows: int, d: int, r: int, tile: tuple[int, int]) -> dict[str, int]:
    """Return the columns of U and the sides of a tile: at most so many rows, and columns the fewer the more U has."""
    rank, (height, width) = power_of_2(r), tile
    width = max(16, width * 32 // max(32, rank))
    return {"N": min(height, power_of_2(rows)), "D": min(width, power_of_2(d)), "R": rank}


def project(v: Tensor, x: Tensor) -> Tensor:
    """Return V^T x in the type of x, which has the shape (B, N, d); all tensors are contiguous."""
    (batches, rows, d), r = x.shape, v.shape[-1]
    sizes = _sizes(rows, d, r, TILES[x.itemsize][0])
    across = triton.cdiv(d, sizes["D"])
    splits = max(1, min(PROGRAMS // (across * batches), triton.cdiv(rows, sizes["N"])))
    partial = torch.empty(splits, batches, r, d, dtype=torch.float32, device=x.device)
    _project[(across, splits, batches)](v, x, partial, rows, d, r, **sizes, STAGES=STAGES, **following())
    w, size = x.new_empty(batches, r, d), batches * r * d
    _add[(triton.cdiv(size, 128),)](partial, w, splits, size, SPLITS=32, SIZE=128, **following())
    return w


def apply(x: Tensor, a: Tensor, b: Tensor, c: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """Return T x + U w."""
    (batches, rows, d), r, y = x.shape, u.shape[-1], torch.empty_like(x)
    sizes = _sizes(rows, d, r + 2, TILES[x.itemsize][1])
    grid = (triton.cdiv(rows, sizes["N"]) * batches,)
    _apply[grid](x, a, b, c, u, w, y, batches, rows, d, r, **sizes, **following())
    return y


def gradients(
    g: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor, v: Tensor, vx: Tensor, ug: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, a, b, c, U and V; vx is V^T x, and ug is U^T g."""
    (batches, rows, d), r = x.shape, v.shape[-1]
    dx, da, db, dc, du, dv = (torch.empty_like(tensor) for tensor in (x, a, b, c, v, v))
    height, width = TILES[x.itemsize][2]
    if height > 16 and rows < MULTIPROCESSORS * height:  # else some multiprocessors would have no tile
        height, width = height // 2, 2 * width
    sizes = _sizes(rows, d, r + 2, (height, width)) | {"W": power_of_2(r)}
    _gradients[(triton.cdiv(rows, sizes["N"]),)](
        g, x, a, b, c, v, vx, ug, dx, da, db, dc, du, dv, batches, rows, d, r,
        **sizes, **following(), num_warps=2, num_stages=2,
    )  # fmt: skip
    return dx, da, db, dc, du, dv
