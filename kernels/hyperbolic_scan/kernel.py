"""The Moebius recurrence: sequential in time on chip, one program per sequence, all channels in registers.

Near the boundary 1 - c |h|^2 cannot be had from h, whose norm rounds to one. It is carried beside h instead, by

    1 - c |y (+) b|^2 = (1 - c |y|^2) (1 - c |b|^2) / (1 + 2c y.b + c^2 |y|^2 |b|^2).
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import torch
import triton
import triton.language as tl
from torch import Tensor

SERIES = tl.constexpr(0.02)
"""Below this square, series replace quotients that lose digits; five terms are exact to float32."""


@triton.jit
@no_type_check
def _log_map(u2, gap):
    """artanh(u) / u, and its derivative divided by u; gap is 1 - u^2."""
    large = u2 > SERIES
    u = tl.sqrt(tl.where(large, u2, 1.0))
    scale = (tl.log(1 + u) - 0.5 * tl.log(gap)) / u
    near = 1 + u2 * (1 / 3 + u2 * (1 / 5 + u2 * (1 / 7 + u2 / 9)))
    slope = (1 / gap - scale) / (u * u)
    near_slope = 2 / 3 + u2 * (4 / 5 + u2 * (6 / 7 + u2 * (8 / 9 + u2 * (10 / 11))))
    return tl.where(large, scale, near), tl.where(large, slope, near_slope)


@triton.jit
@no_type_check
def _exp_map(u2):
    """tanh(u) / u, its derivative divided by u, and 1 - tanh(u)^2."""
    large = u2 > SERIES
    u = tl.sqrt(tl.where(large, u2, 1.0))
    e = tl.exp(-2 * u)
    scale = (1 - e) / (1 + e) / u
    near = 1 + u2 * (-1 / 3 + u2 * (2 / 15 + u2 * (-17 / 315 + u2 * (62 / 2835))))
    gap = 4 * e / ((1 + e) * (1 + e))
    slope = (gap - scale) / (u * u)
    near_slope = -2 / 3 + u2 * (8 / 15 + u2 * (-34 / 105 + u2 * (496 / 2835)))
    return (
        tl.where(large, scale, near), tl.where(large, slope, near_slope), tl.where(large, gap, 1 - u2 * near * near)
    )  # fmt: skip


@triton.jit
@no_type_check
def _inside(square, c):
    """The square of a point's norm; NaN on the boundary and outside."""
    return tl.where(c * square < 1, square, float("nan"))


@triton.jit
@no_type_check
def _forward(a, b, curvature, initial, states, gaps, a0, a1, a2, b0, b1, N, S, BLOCK: tl.constexpr):
    row, s = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    inside = s < S
    c = tl.load(curvature)
    h = tl.load(initial + row * S + s, mask=inside, other=0.0).to(tl.float32)
    gap = 1 - c * _inside(tl.sum(h * h, 0), c)
    next_a = tl.load(a + row * a0 + s * a2, mask=inside, other=0.0)
    next_b = tl.load(b + row * b0 + s, mask=inside, other=0.0)
    for t in range(N):
        factor, point = next_a.to(tl.float32), next_b.to(tl.float32)
        # The next step's loads are under way while this one computes.
        more = inside & (t + 1 < N)
        next_a = tl.load(a + row * a0 + (t + 1) * a1 + s * a2, mask=more, other=0.0)
        next_b = tl.load(b + row * b0 + (t + 1) * b1 + s, mask=more, other=0.0)
        bb = _inside(tl.sum(point * point, 0), c)
        scale, _ = _log_map(c * tl.sum(h * h, 0), gap)
        x = factor * scale * h
        xx, xb = tl.sum(x * x, 0), tl.sum(x * point, 0)
        scale, _, y_gap = _exp_map(c * xx)
        yy, yb = scale * scale * xx, scale * xb
        below = 1 + 2 * c * yb + c * c * yy * bb
        h = ((1 + 2 * c * yb + c * bb) * scale * x + y_gap * point) / below
        gap = y_gap * (1 - c * bb) / below
        tl.store(states + (row * N + t) * S + s, h, mask=inside)
        tl.store(gaps + row * N + t, gap)


@triton.jit
@no_type_check
def _backward(
    g, a, b, curvature, initial, states, gaps, da, db, d_initial, d_curvature,
    a0, a1, a2, b0, b1, N, S, SHARED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The same steps again from the stored states, last to first."""
    row, s = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    inside = s < S
    c = tl.load(curvature)
    first = tl.load(initial + row * S + s, mask=inside, other=0.0).to(tl.float32)
    first_gap = 1 - c * tl.sum(first * first, 0)
    gh = tl.zeros((BLOCK,), tl.float32)
    dc = 0.0
    for step in range(N):
        t = N - 1 - step
        at = (row * N + t) * S + s
        gh += tl.load(g + at, mask=inside, other=0.0).to(tl.float32)
        factor = tl.load(a + row * a0 + t * a1 + s * a2, mask=inside, other=0.0).to(tl.float32)
        point = tl.load(b + row * b0 + t * b1 + s, mask=inside, other=0.0).to(tl.float32)
        old = tl.load(states + at - S, mask=inside & (t > 0), other=0.0)
        h = tl.where(t > 0, old, first)
        gap = tl.where(t > 0, tl.load(gaps + row * N + t - 1, mask=t > 0, other=1.0), first_gap)

        hh, bb = tl.sum(h * h, 0), tl.sum(point * point, 0)
        log_scale, log_slope = _log_map(c * hh, gap)
        x = factor * log_scale * h
        xx, xb = tl.sum(x * x, 0), tl.sum(x * point, 0)
        scale, slope, y_gap = _exp_map(c * xx)
        y, yy, yb = scale * x, scale * scale * xx, scale * xb
        # h_t = (A y + B b) / below
        A = 1 + 2 * c * yb + c * bb
        below = 1 + 2 * c * yb + c * c * yy * bb
        above = gh / below
        gA, gB = tl.sum(above * y, 0), tl.sum(above * point, 0)
        g_below = -(A * gA + y_gap * gB) / below
        g_yb = 2 * c * (gA + g_below)
        g_yy = -c * gB + c * c * bb * g_below
        g_bb = c * gA + c * c * yy * g_below
        gy = A * above + g_yb * point + 2 * g_yy * y
        tl.store(db + at, y_gap * above + g_yb * y + 2 * g_bb * point, mask=inside)
        dc += (2 * yb + bb) * gA - yy * gB + 2 * (yb + c * yy * bb) * g_below
        # y = exp0 x, x = a log0 h_(t-1)
        along = slope * tl.sum(gy * x, 0)
        dc += along * xx / 2
        gx = scale * gy + c * along * x
        ga = gx * log_scale * h
        if SHARED:
            tl.store(da + row * N + t, tl.sum(ga, 0))
        else:
            tl.store(da + at, ga, mask=inside)
        gl = gx * factor
        along = log_slope * tl.sum(gl * h, 0)
        dc += along * hh / 2
        gh = log_scale * gl + c * along * h
    tl.store(d_initial + row * S + s, gh, mask=inside)
    tl.store(d_curvature + row, dc)


def _grid(a: Tensor, width: int) -> tuple[list[int], dict[str, int]]:
    """Return the strides of factors, zero where one factor serves all channels, and the block: a warp, if it can."""
    block = triton.next_power_of_2(width)
    shared = a.shape[-1] == 1
    return [*a.stride()[:2], 0 if shared else a.stride(2)], {"BLOCK": block, "num_warps": max(1, min(8, block // 256))}


def forward(a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Return states (R, N, S) and 1 - c |h|^2 (R, N), in float32."""
    rows, steps, width = b.shape
    states = b.new_empty(b.shape, dtype=torch.float32)
    gaps = states.new_empty(rows, steps)
    strides, block = _grid(a, width)
    _forward[(rows,)](a, b, curvature, initial, states, gaps, *strides, b.stride(0), b.stride(1), steps, width, **block)
    return states, gaps


def backward(
    g: Tensor, a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor, states: Tensor, gaps: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, the curvature and the initial state."""
    rows, steps, width = b.shape
    da, db, d_initial = a.new_empty(a.shape), b.new_empty(b.shape), initial.new_empty(initial.shape)
    d_curvature = gaps.new_empty(rows)
    strides, block = _grid(a, width)
    _backward[(rows,)](
        g, a, b, curvature, initial, states, gaps, da, db, d_initial, d_curvature,
        *strides, b.stride(0), b.stride(1), steps, width, SHARED=a.shape[-1] == 1 and width > 1, **block,
    )  # fmt: skip
    return da, db, d_curvature.sum(), d_initial
