"""The resolvent's diagonal in Triton: each program walks one row, once from each side, block by block with a carry.

A step of a continued fraction, d -> A - q / (d + D) with A = alpha, q = p, D = 0, composes with another of its kind
into a third of the same kind (`_then`). These three numbers neither overflow nor need renormalising.
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import torch
import triton
import triton.language as tl
from torch import Tensor

FORWARD, BACKWARD = 2048, 1024
"""Rows of T a program holds at once, at most; the backward pass keeps more for each."""
ELEMENTS_PER_THREAD = 4
"""Sets the number of warps of a block; with 8, the backward pass spills registers."""


@triton.jit
@no_type_check
def _times(xr, xi, yr, yi):
    return xr * yr - xi * yi, xr * yi + xi * yr


@triton.jit
@no_type_check
def _inverse(xr, xi):
    square = xr * xr + xi * xi
    return xr / square, -xi / square


@triton.jit
@no_type_check
def _then(ar, ai, qr, qi, dr, di, next_ar, next_ai, next_qr, next_qi, next_dr, next_di):
    """First d -> a - q / (d + D), then the next such map: with r = 1 / (a + next D)
    it is (next a - next q r) - (q r)(next q r) / (d + (D - q r)).
    """  # noqa: D205  # one formula
    rr, ri = _inverse(ar + next_dr, ai + next_di)
    qr, qi = _times(qr, qi, rr, ri)
    next_qr, next_qi = _times(next_qr, next_qi, rr, ri)
    both_r, both_i = _times(qr, qi, next_qr, next_qi)
    return next_ar - next_qr, next_ai - next_qi, both_r, both_i, dr - qr, di - qi


@triton.jit
@no_type_check
def _fraction(alpha_r, alpha_i, p, carry_r, carry_i, REVERSE: tl.constexpr):
    """The block's continued fractions, given the one before the block."""
    zero = tl.zeros_like(p)
    ar, ai, qr, qi, dr, di = tl.associative_scan((alpha_r, alpha_i, p, zero, zero, zero), 0, _then, reverse=REVERSE)
    rr, ri = _inverse(carry_r + dr, carry_i + di)
    qr, qi = _times(qr, qi, rr, ri)
    return ar - qr, ai - qi


@triton.jit
@no_type_check
def _affine_then(ar, ai, br, bi, cr, ci, dr, di):
    """First s -> a s + b, then s -> c s + d."""
    slope_r, slope_i = _times(cr, ci, ar, ai)
    offset_r, offset_i = _times(cr, ci, br, bi)
    return slope_r, slope_i, offset_r + dr, offset_i + di


@triton.jit
@no_type_check
def _sums(tau_r, tau_i, gamma_r, gamma_i, carry_r, carry_i, REVERSE: tl.constexpr):
    """The block's s = gamma + tau s_before, given the s before the block."""
    tau_r, tau_i, s_r, s_i = tl.associative_scan((tau_r, tau_i, gamma_r, gamma_i), 0, _affine_then, reverse=REVERSE)
    carry_r, carry_i = _times(tau_r, tau_i, carry_r, carry_i)
    return s_r + carry_r, s_i + carry_i


@triton.jit
@no_type_check
def _load_complex(x, i, mask, re):
    """Real and imaginary parts of x[i]; `re` + 0i outside the mask."""
    part = tl.arange(0, 2)[None, :]
    other = tl.where(part == 0, re, 0.0)
    return tl.split(tl.load(x + 2 * i[:, None] + part, mask=mask[:, None], other=other))


@triton.jit
@no_type_check
def _store_complex(x, i, re, im, mask):
    part = tl.arange(0, 2)[None, :]
    tl.store(x + 2 * i[:, None] + part, tl.join(re, im), mask=mask[:, None])


@triton.jit
@no_type_check
def _load_alpha(a, i, n, z_r, z_i):
    """a_i - z, and 1 past the end."""
    alpha_r = tl.load(a + i, mask=i < n, other=0.0).to(tl.float32) - z_r
    return tl.where(i < n, alpha_r, 1.0), tl.where(i < n, tl.zeros_like(alpha_r) - z_i, 0.0)


@triton.jit
@no_type_check
def _load_p(b, c, i, n):
    """p_i = b_i c_i, and 0 where T has no such entry, which starts a fraction afresh."""
    mask = (i >= 0) & (i < n - 1)
    return tl.load(b + i, mask=mask, other=0.0).to(tl.float32) * tl.load(c + i, mask=mask, other=0.0).to(tl.float32)


@triton.jit
@no_type_check
def _pick(x, here):
    return tl.sum(tl.where(here, x, 0.0))


@triton.jit
@no_type_check
def _gamma(g_r, g_i, inverse_r, inverse_i):
    """The gradient of d_i + e_i - alpha_i, whose inverse is G_i: -g conj(G^2)."""
    square_r, square_i = _times(inverse_r, inverse_i, inverse_r, inverse_i)
    gamma_r, gamma_i = _times(g_r, g_i, square_r, -square_i)
    return -gamma_r, -gamma_i


@triton.jit
@no_type_check
def _forward(a, b, c, z, d, out, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    a, d, out = a + row * n, d + 2 * row * n, out + 2 * row * n
    b, c = b + row * (n - 1), c + row * (n - 1)
    z_r, z_i = tl.load(z + 2 * row), tl.load(z + 2 * row + 1)
    lane = tl.arange(0, BLOCK)
    blocks = tl.cdiv(n, BLOCK)
    carry_r, carry_i = 1.0, 0.0  # any number: p = 0 before the first row
    for block in range(blocks):
        i = block * BLOCK + lane
        alpha_r, alpha_i = _load_alpha(a, i, n, z_r, z_i)
        d_r, d_i = _fraction(alpha_r, alpha_i, _load_p(b, c, i - 1, n), carry_r, carry_i, REVERSE=False)
        _store_complex(d, i, d_r, d_i, i < n)
        carry_r, carry_i = _pick(d_r, lane == BLOCK - 1), _pick(d_i, lane == BLOCK - 1)
    tl.debug_barrier()  # other threads of this program read what these wrote
    carry_r, carry_i = 1.0, 0.0
    for block in range(blocks):
        i = (blocks - 1 - block) * BLOCK + lane
        alpha_r, alpha_i = _load_alpha(a, i, n, z_r, z_i)
        e_r, e_i = _fraction(alpha_r, alpha_i, _load_p(b, c, i, n), carry_r, carry_i, REVERSE=True)
        carry_r, carry_i = _pick(e_r, lane == 0), _pick(e_i, lane == 0)
        d_r, d_i = _load_complex(d, i, i < n, 1.0)
        out_r, out_i = _inverse(d_r + e_r - alpha_r, d_i + e_i - alpha_i)
        _store_complex(out, i, out_r, out_i, i < n)


@triton.jit
@no_type_check
def _backward(g, a, b, c, z, d, out, e, da, db, dc, dz, n, BLOCK: tl.constexpr):
    """Adjoint of both fractions: delta runs against d, epsilon against e (README). e is scratch."""
    row = tl.program_id(0).to(tl.int64)
    a, da = a + row * n, da + row * n
    g, d, out, e = g + 2 * row * n, d + 2 * row * n, out + 2 * row * n, e + 2 * row * n
    b, c, db, dc = b + row * (n - 1), c + row * (n - 1), db + row * (n - 1), dc + row * (n - 1)
    z_r, z_i = tl.load(z + 2 * row), tl.load(z + 2 * row + 1)
    lane = tl.arange(0, BLOCK)
    blocks = tl.cdiv(n, BLOCK)
    carry_r, carry_i, delta_in_r, delta_in_i = 1.0, 0.0, 0.0, 0.0
    dz_r, dz_i = 0.0, 0.0
    for block in range(blocks):
        i = (blocks - 1 - block) * BLOCK + lane
        alpha_r, alpha_i = _load_alpha(a, i, n, z_r, z_i)
        p = _load_p(b, c, i, n)
        e_r, e_i = _fraction(alpha_r, alpha_i, p, carry_r, carry_i, REVERSE=True)
        carry_r, carry_i = _pick(e_r, lane == 0), _pick(e_i, lane == 0)
        _store_complex(e, i, e_r, e_i, i < n)
        d_r, d_i = _load_complex(d, i, i < n, 1.0)
        out_r, out_i = _inverse(d_r + e_r - alpha_r, d_i + e_i - alpha_i)
        g_r, g_i = _load_complex(g, i, i < n, 0.0)
        gamma_r, gamma_i = _gamma(g_r, g_i, out_r, out_i)
        r, j = _inverse(d_r, d_i)
        r, j = _times(r, j, r, j)
        delta_r, delta_i = _sums(p * r, -p * j, gamma_r, gamma_i, delta_in_r, delta_in_i, REVERSE=True)
        delta_in_r, delta_in_i = _pick(delta_r, lane == 0), _pick(delta_i, lane == 0)
        tl.store(da + i, delta_r - gamma_r, mask=i < n)
        dz_r -= tl.sum(tl.where(i < n, delta_r - gamma_r, 0.0))
        dz_i -= tl.sum(tl.where(i < n, delta_i - gamma_i, 0.0))
        before = (i >= 1) & (i < n)
        r, j = _load_complex(d, i - 1, before, 1.0)
        r, j = _inverse(r, j)
        tl.store(db + i - 1, -(delta_r * r + delta_i * j), mask=before)  # Re(-delta conj(1 / d before))
    tl.debug_barrier()  # other threads of this program read what these wrote
    epsilon_in_r, epsilon_in_i = 0.0, 0.0
    for block in range(blocks):
        i = block * BLOCK + lane
        p = _load_p(b, c, i - 1, n)
        r, j = _load_complex(e, i, i < n, 1.0)
        r, j = _inverse(r, j)
        r, j = _times(r, j, r, j)
        g_r, g_i = _load_complex(g, i, i < n, 0.0)
        out_r, out_i = _load_complex(out, i, i < n, 0.0)
        gamma_r, gamma_i = _gamma(g_r, g_i, out_r, out_i)
        epsilon_r, epsilon_i = _sums(p * r, -p * j, gamma_r, gamma_i, epsilon_in_r, epsilon_in_i, REVERSE=False)
        epsilon_in_r, epsilon_in_i = _pick(epsilon_r, lane == BLOCK - 1), _pick(epsilon_i, lane == BLOCK - 1)
        tl.store(da + i, tl.load(da + i, mask=i < n, other=0.0) + epsilon_r, mask=i < n)
        dz_r -= tl.sum(tl.where(i < n, epsilon_r, 0.0))
        dz_i -= tl.sum(tl.where(i < n, epsilon_i, 0.0))
        after = i < n - 1
        r, j = _load_complex(e, i + 1, after, 1.0)
        r, j = _inverse(r, j)
        dp = tl.load(db + i, mask=after, other=0.0) - (epsilon_r * r + epsilon_i * j)
        b_i = tl.load(b + i, mask=after, other=0.0).to(tl.float32)
        c_i = tl.load(c + i, mask=after, other=0.0).to(tl.float32)
        tl.store(db + i, c_i * dp, mask=after)
        tl.store(dc + i, b_i * dp, mask=after)
    tl.store(dz + 2 * row, dz_r)
    tl.store(dz + 2 * row + 1, dz_i)


def _launch(n: int, most: int) -> dict[str, int]:
    block = min(most, max(16, triton.next_power_of_2(n)))
    return {"BLOCK": block, "num_warps": max(1, block // (32 * ELEMENTS_PER_THREAD))}


def forward(a: Tensor, b: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return G and the fractions d from the left; all tensors contiguous."""
    n = a.shape[-1]
    out, d = (torch.empty(a.shape, dtype=torch.complex64, device=a.device) for _ in range(2))
    z_, d_, out_ = map(torch.view_as_real, (z, d, out))
    _forward[(a.numel() // n,)](a, b, c, z_, d_, out_, n, **_launch(n, FORWARD))
    return out, d


def backward(
    g: Tensor, a: Tensor, b: Tensor, c: Tensor, z: Tensor, d: Tensor, out: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, c in float32, rounded to the inputs' dtype, and of z."""
    n, e, dz = a.shape[-1], torch.empty_like(d), torch.empty_like(z)
    da, db, dc = (torch.empty_like(x, dtype=torch.float32) for x in (a, b, c))
    g_, z_, d_, out_, e_, dz_ = map(torch.view_as_real, (g, z, d, out, e, dz))
    _backward[(a.numel() // n,)](g_, a, b, c, z_, d_, out_, e_, da, db, dc, dz_, n, **_launch(n, BACKWARD))
    return da.to(a.dtype), db.to(b.dtype), dc.to(c.dtype), dz
