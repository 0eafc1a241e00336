"""The Moebius recurrence: sequential in time on chip, a few sequences per warp, all channels in registers.

Near the boundary 1 - c |h|^2 cannot be had from h, whose norm rounds to one. It is carried beside h instead, by

    1 - c |y (+) b|^2 = (1 - c |y|^2) (1 - c |b|^2) / (1 + 2c y.b + c^2 |y|^2 |b|^2).

A step waits for the one before, so the way from state to state is kept short. There y = exp0(x) is a multiple of
f = a h: only |f|^2 and f.b are added up, in one phase, before the division by the denominator, and meanwhile artanh is
taken of 1 - c |h|^2. On the way back only g.f and g.b are; the rest is known from the states.
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton import log2, reciprocal

SERIES = tl.constexpr(0.25)
"""Up to this square, polynomials replace quotients that lose digits; their relative error is below 4e-8."""
LOG2 = tl.constexpr(2.8853900817779268)
"""2 / ln 2: exp(-2v) = 2^(-LOG2 v), and artanh u = log2((1 + u) / (1 - u)) / LOG2."""
WARP = 128
"""Channels of a warp at least, four of a lane: the widest load of float32. Shorter sequences share a warp."""
AHEAD = 8
"""Factors and points are loaded in groups of so many steps, one group ahead: longer than memory takes."""
BEHIND = 4
"""The same on the way back, where a step takes longer and loads four vectors."""


@triton.jit
@no_type_check
def _inside(square):
    """The square c |x|^2; NaN on the boundary and outside."""
    return tl.where(square < 1, square, float("nan"))


@triton.jit
@no_type_check
def _log_map(gap):
    """artanh(u) / u; gap is 1 - u^2."""
    u2 = 1 - gap
    over_u = tl.rsqrt(tl.maximum(u2, SERIES))
    far = (2 * log2(1 + u2 * over_u) - log2(gap)) * (over_u * (1 / LOG2))
    near = 1 + u2 * (
        0.333337307 + u2 * (0.199782163 + u2 * (0.146691501 + u2 * (0.0824366659 + u2 * 0.181740746)))
    )  # fmt: skip
    return tl.where(u2 > SERIES, far, near)


@triton.jit
@no_type_check
def _log_slope(gap, scale):
    """The derivative of artanh(u) / u = scale by u, divided by u."""
    u2 = 1 - gap
    far = (reciprocal(gap) - scale) * reciprocal(tl.maximum(u2, SERIES))
    near = 0.666666687 + u2 * (
        0.799995124 + u2 * (0.857520461 + u2 * (0.879324257 + u2 * (1.01823604 + u2 * (0.316172302 + u2 * 2.44937396))))
    )
    return tl.where(u2 > SERIES, far, near)


@triton.jit
@no_type_check
def _exp_map(v2):
    """tanh(v) / v, and 1 - tanh(v)^2."""
    over_v = tl.rsqrt(tl.maximum(v2, SERIES))
    e = tl.exp2(v2 * -LOG2 * over_v)
    half = reciprocal(1 + e)
    far = (1 - e) * over_v * half
    near = 1 + v2 * (-0.333331436 + v2 * (0.13325879 + v2 * (-0.0530454852 + v2 * 0.0172414668)))
    return tl.where(v2 > SERIES, far, near), tl.where(v2 > SERIES, 4 * e * half * half, 1 - v2 * near * near)


@triton.jit
@no_type_check
def _exp_slope(v2, scale, gap):
    """The derivative of tanh(v) / v = scale by v, divided by v; gap is 1 - tanh(v)^2."""
    far = (gap - scale) * reciprocal(tl.maximum(v2, SERIES))
    near = -0.666666687 + v2 * (
        0.533332944 + v2 * (-0.323788941 + v2 * (0.174573064 + v2 * (-0.0854700133 + v2 * 0.0307937209)))
    )
    return tl.where(v2 > SERIES, far, near)


@triton.jit
@no_type_check
def _add(x0, x1, y0, y1):
    return x0 + y0, x1 + y1


@triton.jit
@no_type_check
def _sums(x, y):
    """The sums of x and of y over the channels, in step with each other."""
    return tl.reduce((x, y), 1, _add)


@triton.jit
@no_type_check
def _group(x, stride, inside, t, N, STEPS: tl.constexpr, SIGN: tl.constexpr, OTHER: tl.constexpr = 0.0):
    """Elements of x for the steps t, t + SIGN, t + 2 SIGN, ...; OTHER outside of 0 ... N - 1."""
    x += tl.cast(t, tl.int64) * stride
    group = ()
    for i in tl.static_range(STEPS):
        known = inside & (t + SIGN * i >= 0) & (t + SIGN * i < N)
        group = group + (tl.load(x + SIGN * i * stride, mask=known, other=OTHER),)  # noqa: RUF005  (Triton knows no *)
    return group


@triton.jit
@no_type_check
def _wide(x, SHARED: tl.constexpr):
    """A factor of each channel in float32, from one of each sequence if they are shared."""
    if SHARED:
        x = x[:, None]
    return x.to(tl.float32)


@triton.jit
@no_type_check
def _forward(
    a, b, curvature, initial, states, gaps,
    a0, a1, a2, b0, b1, R, N, S, SHARED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """All steps, first to last; z is the numerator A y + y_gap b of the state, over 1 / its denominator."""
    row, s = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)[None, :]
    exists = row < R
    inside = exists[:, None] & (s < S)
    at = row[:, None] * S + s
    if SHARED:
        a, scaled = a + row * a0, exists
    else:
        a, scaled = a + row[:, None] * a0 + s * a2, inside
    b, states, gaps = b + row[:, None] * b0 + s, states + row[:, None] * N * S + s, gaps + row * N
    c = tl.load(curvature)
    z = tl.load(initial + at, mask=inside, other=0.0).to(tl.float32)
    over, gap = tl.full((ROWS,), 1.0, tl.float32), 1 - _inside(c * tl.sum(z * z, 1))
    now = _group(a, a1, scaled, 0, N, STEPS, 1), _group(b, b1, inside, 0, N, STEPS, 1)
    for start in range(0, N, STEPS):
        # The next group's loads are under way while this one computes: they are on this side of the barrier, and what
        # computes with the curvature on the other. Else ptxas would put them off, to save registers.
        then = _group(a, a1, scaled, start + STEPS, N, STEPS, 1), _group(b, b1, inside, start + STEPS, N, STEPS, 1)
        tl.debug_barrier()
        c = tl.load(curvature)
        for i in tl.static_range(STEPS):
            t, point = start + i, now[1][i].to(tl.float32)
            cbb = _inside(c * tl.sum(point * point, 1))
            f = _wide(now[0][i], SHARED) * z
            ff, fb = _sums(f * f, f * point)
            scale = _log_map(gap) * over
            y_scale, y_gap = _exp_map(c * scale * scale * ff)
            A = 1 + cbb + 2 * c * scale * fb * y_scale
            z = y_gap[:, None] * point + (A * (scale * y_scale))[:, None] * f
            over = reciprocal(A - cbb * y_gap)
            gap = y_gap * (1 - cbb) * over
            tl.store(states + tl.cast(t, tl.int64) * S, z * over[:, None], mask=inside & (t < N))
            tl.store(gaps + t, gap, mask=exists & (t < N))
        now = then


@triton.jit
@no_type_check
def _steps_back(g, a, b, states, gaps, a1, b1, inside, scaled, exists, t, N, S, STEPS: tl.constexpr):
    """Gradients, factors and points of the steps t, t - 1, ..., and the states and gaps that they begin with."""
    return (
        _group(g, S, inside, t, N, STEPS, -1), _group(a, a1, scaled, t, N, STEPS, -1),
        _group(b, b1, inside, t, N, STEPS, -1), _group(states, S, inside, t - 1, N, STEPS, -1),
        _group(gaps, 1, exists, t - 1, N, STEPS, -1, 1.0),
    )  # fmt: skip


@triton.jit
@no_type_check
def _backward(
    g, a, b, curvature, initial, states, gaps, da, db, d_initial, d_curvature,
    a0, a1, a2, b0, b1, R, N, S, SHARED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """The same steps again from the stored states, last to first; what depends on g is linear in g.f and g.b."""
    row, s = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)[None, :]
    exists = row < R
    inside = exists[:, None] & (s < S)
    at = row[:, None] * N * S + s
    if SHARED:
        a, scaled, da = a + row * a0, exists, da + row * N
    else:
        a, scaled, da = a + row[:, None] * a0 + s * a2, inside, da + at
    b, g, states, gaps, db = b + row[:, None] * b0 + s, g + at, states + at, gaps + row * N, db + at
    c = tl.load(curvature)
    first = tl.load(initial + row[:, None] * S + s, mask=inside, other=0.0).to(tl.float32)
    first_gap = 1 - c * tl.sum(first * first, 1)
    gh, dc = tl.zeros((ROWS, BLOCK), tl.float32), tl.zeros((ROWS,), tl.float32)
    # Steps past the last come first, and change nothing.
    last = tl.cdiv(N, STEPS) * STEPS - 1
    now = _steps_back(g, a, b, states, gaps, a1, b1, inside, scaled, exists, last, N, S, STEPS)
    for start in range(0, N, STEPS):
        then = _steps_back(g, a, b, states, gaps, a1, b1, inside, scaled, exists, last - start - STEPS, N, S, STEPS)
        tl.debug_barrier()  # as above
        c = tl.load(curvature)
        for i in tl.static_range(STEPS):
            t = last - start - i
            into = tl.cast(t, tl.int64) * S
            factor, point = _wide(now[1][i], SHARED), now[2][i].to(tl.float32)
            h, gap = tl.where(t > 0, now[3][i], first), tl.where(t > 0, now[4][i], first_gap)
            f = factor * h
            ff, fb = _sums(f * f, f * point)
            bb, hh = _sums(point * point, h * h)
            scale = _log_map(gap)
            v2 = c * scale * scale * ff
            exp_scale, y_gap = _exp_map(v2)
            # y = y_scale f and h_t = (A y + y_gap b) / below
            y_scale, cbb, cyy = exp_scale * scale, c * bb, 1 - y_gap
            A = 1 + cbb + 2 * c * y_scale * fb
            over = reciprocal(A - cbb * y_gap)
            gh += now[0][i].to(tl.float32)
            gf, gb = _sums(gh * f, gh * point)
            g_A, g_gap = over * y_scale * gf, over * gb
            g_below = -over * (A * g_A + y_gap * g_gap)
            g_yb, g_yy, g_bb = 2 * c * (g_A + g_below), c * (cbb * g_below - g_gap), c * (g_A + cyy * g_below)
            db_t = (y_gap * over)[:, None] * gh + (g_yb * y_scale)[:, None] * f + (2 * g_bb)[:, None] * point
            tl.store(db + into, db_t, mask=inside & (t < N))
            # x = scale f, and its gradient is of_g gh + of_b b + of_f f
            along = _exp_slope(v2, exp_scale, y_gap) * scale * (A * over * gf + g_yb * fb + 2 * g_yy * y_scale * ff)
            of_g, of_b = exp_scale * A * over, exp_scale * g_yb
            of_f = 2 * exp_scale * g_yy * y_scale + c * along * scale
            back = _log_slope(gap, scale) * (of_g * gf + of_b * fb + of_f * ff)
            gx = (scale * of_g)[:, None] * gh + (scale * of_b)[:, None] * point + (scale * of_f)[:, None] * f
            if SHARED:
                tl.store(da + t, tl.sum(gx * h, 1), mask=exists & (t < N))
            else:
                tl.store(da + into, gx * h, mask=inside & (t < N))
            gh = factor * gx + (c * back)[:, None] * h
            dc += (2 * y_scale * fb + bb) * g_A - y_scale * y_scale * ff * g_gap
            dc += 2 * (y_scale * fb + cyy * bb) * g_below + (along * scale * scale * ff + back * hh) / 2
        now = then
    tl.store(d_initial + row[:, None] * S + s, gh, mask=inside)
    tl.store(d_curvature + row, dc, mask=exists)


def _sizes(a: Tensor, width: int, steps: int) -> dict[str, int]:
    """Return a program's sequences, channels, warps and steps of a group: the more channels a lane has, the fewer."""
    block, warp = triton.next_power_of_2(width), WARP if width % 16 == 0 else WARP // 4  # else loads are not wide
    warps = max(1, min(8, block // (2 * WARP)))
    group = max(1, steps * WARP * warps // max(WARP, block))
    return {
        "SHARED": a.shape[-1] < width, "ROWS": max(1, warp // block), "BLOCK": block, "STEPS": group, "num_warps": warps
    }  # fmt: skip


def forward(a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Return states (R, N, S) and 1 - c |h|^2 (R, N), in float32."""
    rows, steps, width = b.shape
    states = b.new_empty(b.shape, dtype=torch.float32)
    gaps, sizes = states.new_empty(rows, steps), _sizes(a, width, AHEAD)
    _forward[(triton.cdiv(rows, sizes["ROWS"]),)](
        a, b, curvature, initial, states, gaps, *a.stride(), b.stride(0), b.stride(1), rows, steps, width, **sizes
    )
    return states, gaps


def backward(
    g: Tensor, a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor, states: Tensor, gaps: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, the curvature and the initial state."""
    rows, steps, width = b.shape
    da, db, d_initial = a.new_empty(a.shape), b.new_empty(b.shape), initial.new_empty(initial.shape)
    d_curvature, sizes = gaps.new_empty(rows), _sizes(a, width, BEHIND)
    _backward[(triton.cdiv(rows, sizes["ROWS"]),)](
        g, a, b, curvature, initial, states, gaps, da, db, d_initial, d_curvature,
        *a.stride(), b.stride(0), b.stride(1), rows, steps, width, **sizes,
    )  # fmt: skip
    return da, db, d_curvature.sum(), d_initial
