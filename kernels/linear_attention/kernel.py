"""One kernel for the output and for every gradient: y_n = sum_m (a_n . b_m) c_m, carried along the sequence."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl

SERIES = tl.constexpr(0.02)
"""Below this square, series replace quotients that lose digits; five terms are exact to float32."""


INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
@no_type_check
def _rounded(x):
    """Return x in bfloat16, rounded to nearest."""
    if INTERPRETED:  # whose conversion truncates, and whose products take the bits of a bfloat16 for numbers
        bits = x.to(tl.float32).to(tl.int32, bitcast=True)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & -65536).to(tl.float32, bitcast=True)
    else:  # noqa: RET505  (Triton compiles one branch)
        return x.to(tl.bfloat16)


@triton.jit
@no_type_check
def _dot(a, b, HALF: tl.constexpr, PRECISION: tl.constexpr):
    """Return a b, rounded to bfloat16 if HALF, and added up in float32."""
    if HALF:
        a, b = _rounded(a), _rounded(b)
    else:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
@no_type_check
def _log_scale(u2):
    """artanh(u) / u."""
    u = tl.sqrt(tl.maximum(u2, 1e-6))  # smaller ones take the series
    series = 1 + u2 * (1 / 3 + u2 * (1 / 5 + u2 * (1 / 7 + u2 / 9)))
    return tl.where(u2 < SERIES, series, tl.log((1 + u) / (1 - u)) / (2 * u))


@triton.jit
@no_type_check
def _log_slope(u2):
    """Derivative of artanh(u) / u, divided by u."""
    series = 2 / 3 + u2 * (4 / 5 + u2 * (6 / 7 + u2 * (8 / 9 + u2 * (10 / 11))))
    return tl.where(u2 < SERIES, series, (1 / (1 - u2) - _log_scale(u2)) / tl.maximum(u2, 1e-6))


@triton.jit
@no_type_check
def _exp_scale(u2):
    """tanh(u) / u."""
    u = tl.sqrt(tl.maximum(u2, 1e-6))
    series = 1 + u2 * (-1 / 3 + u2 * (2 / 15 + u2 * (-17 / 315 + u2 * (62 / 2835))))
    return tl.where(u2 < SERIES, series, (1 - 2 / (tl.exp(2 * u) + 1)) / u)


@triton.jit
@no_type_check
def _exp_slope(u2):
    """Derivative of tanh(u) / u, divided by u."""
    scale = _exp_scale(u2)
    series = -2 / 3 + u2 * (8 / 15 + u2 * (-34 / 105 + u2 * (496 / 2835)))
    return tl.where(u2 < SERIES, series, (1 - u2 * scale * scale - scale) / tl.maximum(u2, 1e-6))


@triton.jit
@no_type_check
def _raw(x, n, d, stride, N, D, TRANSPOSED: tl.constexpr):
    """Rows n of x as a tile (n, d), or (d, n)."""
    if TRANSPOSED:
        at, inside = n[None, :].to(tl.int64) * stride + d[:, None], (n[None, :] < N) & (d[:, None] < D)
    else:
        at, inside = n[:, None].to(tl.int64) * stride + d[None, :], (n[:, None] < N) & (d[None, :] < D)
    return tl.load(x + at, mask=inside, other=0.0).to(tl.float32), inside


@triton.jit
@no_type_check
def _tile(x, n, d, stride, N, D, c, ELU: tl.constexpr, LOG: tl.constexpr, TRANSPOSED: tl.constexpr):
    """The same after the log map and the feature map; zero outside."""
    y, inside = _raw(x, n, d, stride, N, D, TRANSPOSED)
    if LOG:
        axis: tl.constexpr = 0 if TRANSPOSED else 1
        y *= _log_scale(c * tl.expand_dims(tl.sum(y * y, axis), axis))
    if ELU:
        y = tl.where(inside, tl.where(y > 0, y + 1, tl.exp(tl.minimum(y, 0.0))), 0.0)
    return y


@triton.jit
@no_type_check
def _pulled_back(g, x, n, d, stride, N, D, c, ELU: tl.constexpr, LOG: tl.constexpr):
    """Gradient of x from that of its features, and what the curvature gets of it."""
    raw, _ = _raw(x, n, d, stride, N, D, False)
    y, share = raw, 0.0
    if LOG:
        u2 = c * tl.sum(raw * raw, 1)[:, None]
        y = raw * _log_scale(u2)
    if ELU:
        g *= tl.where(y > 0, 1.0, tl.exp(tl.minimum(y, 0.0)))
    if LOG:
        along = _log_slope(u2) * tl.sum(g * raw, 1)[:, None]
        share = tl.sum(along * raw * raw) / 2
        g = _log_scale(u2) * g + c * along * raw
    return g, share


@triton.jit
@no_type_check
def _carried(state, side, bT, c, gamma, SIDE: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr):
    """The state after the tokens of one tile."""
    state += _dot(bT, c, HALF, PRECISION)
    if SIDE == 1:
        side += tl.sum(bT, 1)
    if SIDE == 2:
        side += tl.sum(c, 0)
    if SIDE == 3:
        side += tl.sum(gamma[:, None] * c, 0)
    return state, side


@triton.jit
@no_type_check
def collect(
    b, c, gamma, curvature, states, sides, b0, b1, b2, c0, c1, c2, H, N, A, C, segment,
    SIDE: tl.constexpr, ELU_B: tl.constexpr, ELU_C: tl.constexpr, LOG_B: tl.constexpr, LOG_C: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, BT: tl.constexpr, BA: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """The state that one segment of a sequence adds."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b += row // H * b0 + row % H * b1
    c += row // H * c0 + row % H * c1
    ball = tl.load(curvature)
    da, dc = tl.arange(0, BA), tl.arange(0, BC)
    state = tl.zeros((BA, BC), tl.float32)
    if SIDE == 1:  # noqa: SIM108  # Triton compiles one branch
        side = tl.zeros((BA,), tl.float32)
    else:
        side = tl.zeros((BC,), tl.float32)
    for start in range(part * segment, min(N, (part + 1) * segment), BT):
        n = start + tl.arange(0, BT)
        bT = _tile(b, n, da, b2, N, A, ball, ELU_B, LOG_B, True)
        cs = _tile(c, n, dc, c2, N, C, ball, ELU_C, LOG_C, False)
        g = tl.load(gamma + row * N + n, mask=n < N, other=0.0) if SIDE == 3 else 0.0
        state, side = _carried(state, side, bT, cs, g, SIDE, HALF, PRECISION)
    to = row * tl.num_programs(1) + part
    tl.store(states + to * A * C + da[:, None] * C + dc[None, :], state, mask=(da[:, None] < A) & (dc[None, :] < C))
    if SIDE == 1:
        tl.store(sides + to * A + da, side, mask=da < A)
    if SIDE > 1:
        tl.store(sides + to * C + dc, side, mask=dc < C)


@triton.jit
@no_type_check
def walk(
    a, b, c, x, gamma, curvature, states, sides, y, mean, weight, shares,
    a0, a1, a2, b0, b1, b2, c0, c1, c2, x0, x1, x2, H, N, A, C, segment,
    CAUSAL: tl.constexpr, REVERSE: tl.constexpr, SIDE: tl.constexpr, EXP: tl.constexpr,
    ELU_A: tl.constexpr, ELU_B: tl.constexpr, ELU_C: tl.constexpr, ELU_X: tl.constexpr,
    LOG_A: tl.constexpr, LOG_B: tl.constexpr, LOG_C: tl.constexpr, LOG_X: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, BT: tl.constexpr, BA: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """One segment of y, and the state at its end.

    SIDE says what the sums are, beyond a . b: 0 nothing, 1 a division by sum_m a_n . b_m, 2 gamma_n more in every
    inner product, 3 gamma_m more.
    """
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    a += row // H * a0 + row % H * a1
    b += row // H * b0 + row % H * b1
    c += row // H * c0 + row % H * c1
    x += row // H * x0 + row % H * x1
    ball = tl.load(curvature)
    da, dc = tl.arange(0, BA), tl.arange(0, BC)
    # Without a mask all segments start from the sums over the whole sequence.
    own = row * tl.num_programs(1) + part if CAUSAL else row
    square = own * A * C + da[:, None] * C + dc[None, :]
    inside = (da[:, None] < A) & (dc[None, :] < C)
    state = tl.load(states + square, mask=inside, other=0.0)
    if SIDE == 1:
        side = tl.load(sides + own * A + da, mask=da < A, other=0.0)
    elif SIDE > 1:
        side = tl.load(sides + own * C + dc, mask=dc < C, other=0.0)
    else:
        side = tl.zeros((BC,), tl.float32)
    share = 0.0
    first, last = part * segment, min(N, (part + 1) * segment)
    for step in range(0, last - first, BT):
        n = first + step + tl.arange(0, BT)
        if REVERSE:
            n = first + (last - first - 1) // BT * BT - step + tl.arange(0, BT)
        rows = _tile(a, n, da, a2, N, A, ball, ELU_A, LOG_A, False)
        g = tl.load(gamma + row * N + n, mask=n < N, other=0.0) if SIDE > 1 else 0.0
        out = _dot(rows, state, HALF, PRECISION)
        if SIDE == 1:
            total = tl.sum(rows * side[None, :], 1)
        if SIDE == 2:
            out += g[:, None] * side[None, :]
        if SIDE == 3:
            out += side[None, :]
        if CAUSAL:
            bT = _tile(b, n, da, b2, N, A, ball, ELU_B, LOG_B, True)
            cs = _tile(c, n, dc, c2, N, C, ball, ELU_C, LOG_C, False)
            inner = _dot(rows, bT, HALF, PRECISION)
            if SIDE == 2:
                inner += g[:, None]
            if SIDE == 3:
                inner += g[None, :]
            inner = tl.where((n[:, None] <= n[None, :]) if REVERSE else (n[:, None] >= n[None, :]), inner, 0.0)
            if SIDE == 1:
                total += tl.sum(inner, 1)
            out += _dot(inner, cs, HALF, PRECISION)
            state, side = _carried(state, side, bT, cs, g, SIDE, HALF, PRECISION)
        to = (row * N + n[:, None]) * C + dc[None, :]
        kept = (n[:, None] < N) & (dc[None, :] < C)
        if SIDE == 1:
            out /= tl.where(n < N, total, 1.0)[:, None]
            tl.store(weight + row * N + n, total, mask=n < N)
            if EXP:
                tl.store(mean + to, out, mask=kept)
                out *= _exp_scale(ball * tl.sum(out * out, 1))[:, None]
        else:
            out, part_share = _pulled_back(out, x, n, dc, x2, N, C, ball, ELU_X, LOG_X)
            share += part_share
        tl.store(y + to, out, mask=kept)
    if SIDE == 1 and CAUSAL:
        tl.store(states + square, state, mask=inside)
        tl.store(sides + own * A + da, side, mask=da < A)
    if SIDE != 1 and LOG_X:
        tl.store(shares + row * tl.num_programs(1) + part, share)


@triton.jit
@no_type_check
def prepare(
    g, mean, weight, curvature, scaled, gamma, shares, g0, g1, g2, H, N, C,
    EXP: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """Gradients of the weighted sums and of the sum of weights, from that of the output."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    g += row // H * g0 + row % H * g1
    ball = tl.load(curvature)
    n, dc = part * BT + tl.arange(0, BT), tl.arange(0, BC)
    grad, kept = _raw(g, n, dc, g2, N, C, False)
    o, _ = _raw(mean + row * N * C, n, dc, C, N, C, False)
    if EXP:
        u2 = ball * tl.sum(o * o, 1)[:, None]
        along = _exp_slope(u2) * tl.sum(grad * o, 1)[:, None]
        tl.store(shares + row * tl.num_programs(1) + part, tl.sum(along * o * o) / 2)
        grad = _exp_scale(u2) * grad + ball * along * o
    grad /= tl.load(weight + row * N + n, mask=n < N, other=1.0)[:, None]
    grad = grad.to(scaled.dtype.element_ty)
    tl.store(scaled + (row * N + n[:, None]) * C + dc[None, :], grad, mask=kept)
    # From the rounded gradient, so that what must cancel does.
    tl.store(gamma + row * N + n, -tl.sum(grad.to(tl.float32) * o, 1), mask=n < N)
