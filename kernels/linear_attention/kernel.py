"""Kernels that carry sums along a sequence: for the output, for q's gradient, for k's and v's, and for few tokens."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl

from kernels.triton import INTERPRETED, dot, log2, reciprocal, rounded

SERIES = tl.constexpr(0.02)
"""Below this square, series replace quotients that lose digits; five terms are exact to float32."""

NARROW = tl.constexpr(8)
"""Columns of a product that stands for a sum over its rows: the least that an instruction has."""

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
@no_type_check
def _exp(x):
    """exp(x), zero where it would be subnormal."""
    if INTERPRETED:
        return tl.exp(x)
    else:  # noqa: RET505  (Triton compiles one branch)
        x = x * LOG2_E
        return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)


@triton.jit
@no_type_check
def _once(x):
    """The factor x, which the compiler may not compute again in a second layout to save its conversion."""
    if INTERPRETED or x.dtype != tl.bfloat16:
        return x
    else:  # noqa: RET505  (Triton compiles one branch)
        return tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [x], tl.bfloat16, False, 2)


@triton.jit
@no_type_check
def _log_scale(u2, HALF: tl.constexpr):
    """artanh(u) / u."""
    series = 1 + u2 * (1 / 3 + u2 * (1 / 5 + u2 * (1 / 7 + u2 / 9)))
    if HALF:  # a tenth of the instructions, and more digits than bfloat16 has
        inverse = tl.rsqrt(tl.maximum(u2, 1e-6))  # smaller ones take the series
        u = u2 * inverse
        quotient = (0.5 / LOG2_E) * inverse * (log2(1 + u) - log2(1 - u))
    else:
        u = tl.sqrt(tl.maximum(u2, 1e-6))
        quotient = tl.log((1 + u) / (1 - u)) / (2 * u)
    return tl.where(u2 < SERIES, series, quotient)


@triton.jit
@no_type_check
def _log_slope(u2, scale):
    """Derivative of artanh(u) / u, divided by u, where that is `scale`."""
    series = 2 / 3 + u2 * (4 / 5 + u2 * (6 / 7 + u2 * (8 / 9 + u2 * (10 / 11))))
    return tl.where(u2 < SERIES, series, (reciprocal(1 - u2) - scale) * reciprocal(tl.maximum(u2, 1e-6)))


@triton.jit
@no_type_check
def _exp_scale(u2):
    """tanh(u) / u."""
    inverse = tl.rsqrt(tl.maximum(u2, 1e-6))
    series = 1 + u2 * (-1 / 3 + u2 * (2 / 15 + u2 * (-17 / 315 + u2 * (62 / 2835))))
    return tl.where(u2 < SERIES, series, (1 - 2 * reciprocal(_exp(2 * u2 * inverse) + 1)) * inverse)


@triton.jit
@no_type_check
def _exp_slope(u2, scale):
    """Derivative of tanh(u) / u, divided by u, where that is `scale`."""
    series = -2 / 3 + u2 * (8 / 15 + u2 * (-34 / 105 + u2 * (496 / 2835)))
    return tl.where(u2 < SERIES, series, (1 - u2 * scale * scale - scale) * reciprocal(tl.maximum(u2, 1e-6)))


@triton.jit
@no_type_check
def _head(x, row, H, stride_0, stride_1):
    """Where the sequence `row` of (B, H) begins."""
    return x + row // H * stride_0 + row % H * stride_1


@triton.jit
@no_type_check
def _tile(x, start, t, d, stride, N, D: tl.constexpr, AXIS: tl.constexpr, EVEN: tl.constexpr):
    """Tokens start + t of x as a tile whose AXIS runs over the columns d; zero outside."""
    BD: tl.constexpr = d.shape[0]
    t, d = tl.expand_dims(t, AXIS), tl.expand_dims(d, 1 - AXIS)
    at = x + start * tl.cast(stride, tl.int64) + (t * stride + d)
    if EVEN and D == BD:
        return tl.load(at)
    else:  # noqa: RET505  (Triton compiles one branch)
        return tl.load(at, mask=(start + t < N) & (d < D), other=0.0)


@triton.jit
@no_type_check
def _store(x, row, start, t, d, value, N, D: tl.constexpr, AXIS: tl.constexpr, EVEN: tl.constexpr):
    """Write a tile to tokens start + t of sequence `row` of x, which is contiguous."""
    BD: tl.constexpr = d.shape[0]
    t, d = tl.expand_dims(t, AXIS), tl.expand_dims(d, 1 - AXIS)
    at = x + (row * N + start) * D + (t * D + d)
    if EVEN and D == BD:
        tl.store(at, value)
    else:
        tl.store(at, value, mask=(start + t < N) & (d < D))


@triton.jit
@no_type_check
def _of_tokens(x, row, start, t, N, EVEN: tl.constexpr):
    """One number of each token start + t of sequence `row`; zero outside."""
    at = x + row * N + start + t
    return tl.load(at) if EVEN else tl.load(at, mask=start + t < N, other=0.0)


@triton.jit
@no_type_check
def _to_tokens(x, row, start, t, value, N, EVEN: tl.constexpr):
    """Write one number of each token."""
    at = x + row * N + start + t
    if EVEN:
        tl.store(at, value)
    else:
        tl.store(at, value, mask=start + t < N)


@triton.jit
@no_type_check
def _measured(
    x, kept, plane, row, start, t, c, N, LOG: tl.constexpr, HALF: tl.constexpr, AXIS: tl.constexpr, EVEN: tl.constexpr
):
    """The log map's factor of each token of the tile x; with |x|^2 it is written to `kept` unless that is None."""
    if LOG:
        x = x.to(tl.float32)
        square = tl.sum(x * x, AXIS)
        scale = _log_scale(c * square, HALF)
        if kept is not None:
            _to_tokens(kept, row, start, t, scale, N, EVEN)
            _to_tokens(kept + plane, row, start, t, square, N, EVEN)
        return scale
    else:  # noqa: RET505  (Triton compiles one branch)
        return 1.0


@triton.jit
@no_type_check
def _remembered(kept, row, start, t, N, LOG: tl.constexpr, EVEN: tl.constexpr):
    """The log map's factor of each token, from what `_measured` wrote."""
    return _of_tokens(kept, row, start, t, N, EVEN) if LOG else 1.0


@triton.jit
@no_type_check
def _scaled(x, scale, LOG: tl.constexpr, AXIS: tl.constexpr):
    """The tile x in float32, each token times its factor of the log map."""
    x = x.to(tl.float32)
    return x * tl.expand_dims(scale, AXIS) if LOG else x


@triton.jit
@no_type_check
def _features(x, scale, d, D: tl.constexpr, ELU: tl.constexpr, LOG: tl.constexpr, AXIS: tl.constexpr):
    """Phi of the tile x after the log map; zero in columns from D on."""
    x = _scaled(x, scale, LOG, AXIS)
    if ELU:
        x = tl.maximum(x, 0.0) + _exp(tl.minimum(x, 0.0, propagate_nan=tl.PropagateNan.ALL))
        if x.shape[AXIS] > D:
            x = tl.where(tl.expand_dims(d, 1 - AXIS) < D, x, 0.0)
    return x


@triton.jit
@no_type_check
def _pulled_back(
    g, x, kept, plane, row, start, t, c, N, ELU: tl.constexpr, LOG: tl.constexpr, AXIS: tl.constexpr, EVEN: tl.constexpr
):
    """Gradient of the tile x from that of its features, and what the curvature gets of each token."""
    scale = _remembered(kept, row, start, t, N, LOG, EVEN)
    if ELU:
        g *= _exp(tl.minimum(_scaled(x, scale, LOG, AXIS), 0.0, propagate_nan=tl.PropagateNan.ALL))
    share = 0.0
    if LOG:
        x = x.to(tl.float32)
        square = _of_tokens(kept + plane, row, start, t, N, EVEN)
        along = _log_slope(c * square, scale) * tl.sum(g * x, AXIS)
        share = along * square * 0.5
        g = tl.expand_dims(scale, AXIS) * g + tl.expand_dims(c * along, AXIS) * x
    return g, share


@triton.jit
@no_type_check
def _factor(x, HALF: tl.constexpr):
    """The tile x as products take it: rounded to bfloat16 if HALF, else in float32."""
    return rounded(x) if HALF else x.to(tl.float32)


@triton.jit
@no_type_check
def _twofold(x, column, HALF: tl.constexpr):
    """The narrow tile x, alike in its first two columns, as a factor whose columns add up to one of them."""
    if HALF:
        high = rounded(x)
        return tl.where(column == 0, high, tl.where(column == 1, rounded(x - high.to(tl.float32)), 0.0))
    else:  # noqa: RET505  (Triton compiles one branch)
        return tl.where(column == 0, x, 0.0)


@triton.jit
@no_type_check
def _sums(states, sides, row, begin, end, slots, d, e, D: tl.constexpr, E: tl.constexpr):
    """What slots begin to end add up to, of products (d, e) and on the side (d)."""
    state = tl.zeros((d.shape[0], e.shape[0]), tl.float32)
    side = tl.zeros((d.shape[0],), tl.float32)
    for slot in range(begin, end):
        of = row * slots + slot
        at, inside = of * D * E + (d[:, None] * E + e[None, :]), (d[:, None] < D) & (e[None, :] < E)
        state += tl.load(states + at, mask=inside, other=0.0)
        side += tl.load(sides + of * D + d, mask=d < D, other=0.0)
    return state, side


@triton.jit
@no_type_check
def _finished(y, weight, kept, row, start, t, plane, c, N, LOG: tl.constexpr, EVEN: tl.constexpr):
    """The output from the weighted sums y and the sums of weights; writes what the way back needs of both."""
    if not EVEN:
        weight = tl.where(start + t < N, weight, 1.0)
    scale = 1 / weight
    y *= scale[:, None]
    if LOG:
        u2 = c * tl.sum(y * y, 1)
        factor = _exp_scale(u2)
        y *= factor[:, None]
        scale *= factor
        inverse = 1 / factor
        _to_tokens(kept + plane, row, start, t, inverse, N, EVEN)
        slope = _exp_slope(u2, factor) * (inverse * inverse * inverse)
        _to_tokens(kept + 2 * plane, row, start, t, slope, N, EVEN)
    _to_tokens(kept, row, start, t, scale, N, EVEN)
    return y


@triton.jit
@no_type_check
def collect(
    b, c, out, curvature, kept, made, states, sides,
    b0, b1, b2: tl.constexpr, c0, c1, c2: tl.constexpr, H, N, segment, shift,
    D: tl.constexpr, E: tl.constexpr, GRADIENT: tl.constexpr, ELU: tl.constexpr, LOG: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, EVEN: tl.constexpr,
    BT: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """What segment slot + shift adds to the sums of phi(b) c^T and of phi(b).

    With GRADIENT, b is q, c is the gradient g of the output, phi(q) is divided by w, and gamma_n is a factor on the
    side.
    """
    row, slot = tl.program_id(0).to(tl.int64), tl.program_id(1)
    plane = tl.num_programs(0).to(tl.int64) * N
    b, c = _head(b, row, H, b0, b1), _head(c, row, H, c0, c1)
    ball = tl.load(curvature) if LOG else 0.0
    t, d, e = tl.arange(0, BT), tl.arange(0, BD), tl.arange(0, BE)
    state, side = tl.zeros((BE, BD), tl.float32), tl.zeros((16, BD), tl.float32)
    first = (slot + shift) * segment
    for start in range(first, min(N, first + segment), BT):
        bs = _tile(b, start, t, d, b2, N, D, 1, EVEN)
        cT = _tile(c, start, t, e, c2, N, E, 0, EVEN)
        if GRADIENT:
            scale = _remembered(kept + 3 * plane, row, start, t, N, LOG, EVEN)
            bs = _features(bs, scale, d, D, ELU, LOG, 1) * _of_tokens(kept, row, start, t, N, EVEN)[:, None]
            gamma = _of_tokens(made, row, start, t, N, EVEN)
            side += tl.sum(tl.reshape(gamma[:, None] * bs, (BT // 16, 16, BD)), 0)
            if LOG:
                along = _of_tokens(made + plane, row, start, t, N, EVEN)
                cT = cT.to(tl.float32) + along[None, :] * _tile(out + row * N * E, start, t, e, E, N, E, 0, EVEN)
        else:
            scale = _measured(bs, None, plane, row, start, t, ball, N, LOG, HALF, 1, EVEN)
            bs = _features(bs, scale, d, D, ELU, LOG, 1)
            if not EVEN:
                bs = tl.where((start + t < N)[:, None], bs, 0.0)
            side += tl.sum(tl.reshape(bs, (BT // 16, 16, BD)), 0)
            cT = _scaled(cT, _measured(cT, None, plane, row, start, t, ball, N, LOG, HALF, 0, EVEN), LOG, 0)
        state += dot(_factor(cT, HALF), _factor(bs, HALF), PRECISION)
    to = row * tl.num_programs(1) + slot
    at, inside = to * D * E + (d[None, :] * E + e[:, None]), (d[None, :] < D) & (e[:, None] < E)
    tl.store(states + at, state, mask=inside)
    tl.store(sides + to * D + d, tl.sum(side, 0), mask=d < D)


@triton.jit
@no_type_check
def attend(
    q, k, v, curvature, initial, initial_side, states, sides, out, kept, starts, last, last_side,
    q0, q1, q2: tl.constexpr, k0, k1, k2: tl.constexpr, v0, v1, v2: tl.constexpr, H, N, segment, slots,
    D: tl.constexpr, E: tl.constexpr, CAUSAL: tl.constexpr, ELU: tl.constexpr, LOG: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, EVEN: tl.constexpr,
    BT: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """The output of one segment, what the way back needs of its tokens, and the last state."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    plane = tl.num_programs(0).to(tl.int64) * N
    q, k, v = _head(q, row, H, q0, q1), _head(k, row, H, k0, k1), _head(v, row, H, v0, v1)
    ball = tl.load(curvature) if LOG else 0.0
    t, d, e, column = tl.arange(0, BT), tl.arange(0, BD), tl.arange(0, BE), tl.arange(0, NARROW)[None, :]
    state, first_side = _sums(states, sides, row, 0, part if CAUSAL else slots, slots, d, e, D, E)
    if initial is not None:
        first_state, more = _sums(initial, initial_side, row, 0, 1, 1, d, e, D, E)
        state, first_side = state + first_state, first_side + more
    side = tl.where(column >= 0, first_side[:, None], 0.0)
    for start in range(part * segment, min(N, (part + 1) * segment), BT):
        qs = _tile(q, start, t, d, q2, N, D, 1, EVEN)
        q_scale = _measured(qs, kept + 3 * plane, plane, row, start, t, ball, N, LOG, HALF, 1, EVEN)
        qs = _factor(_features(qs, q_scale, d, D, ELU, LOG, 1), HALF)
        if BD > 64:
            qs = _once(qs)
        before = _factor(state, HALF)
        weight = tl.sum(dot(qs, _twofold(side, column, HALF), PRECISION), 1)
        kT, vs = _tile(k, start, t, d, k2, N, D, 0, EVEN), _tile(v, start, t, e, v2, N, E, 1, EVEN)
        k_scale = _measured(kT, kept + 5 * plane, plane, row, start, t, ball, N, LOG, HALF, 0, EVEN)
        v_scale = _measured(vs, kept + 7 * plane, plane, row, start, t, ball, N, LOG, HALF, 1, EVEN)
        if CAUSAL:
            kT = _once(_factor(_features(kT, k_scale, d, D, ELU, LOG, 0), HALF))
            vs = _factor(_scaled(vs, v_scale, LOG, 1), HALF)
            tl.store(starts + (row * tl.cdiv(N, BT) + start // BT) * D + d, tl.sum(side, 1) / NARROW, mask=d < D)
            inner = tl.where(t[:, None] >= t[None, :], dot(qs, kT, PRECISION), 0.0)
            weight += tl.sum(inner, 1)
        y = dot(qs, before, PRECISION)
        if CAUSAL:
            y += dot(_factor(inner, HALF), vs, PRECISION)
            state += dot(kT, vs, PRECISION)
            side += dot(kT, _factor(tl.where((start + t < N)[:, None] & (column >= 0), 1.0, 0.0), HALF), PRECISION)
        y = _finished(y, weight, kept, row, start, t, plane, ball, N, LOG, EVEN)
        _store(out, row, start, t, e, y, N, E, 1, EVEN)
    if part == tl.num_programs(1) - 1:
        at, inside = row * D * E + (d[:, None] * E + e[None, :]), (d[:, None] < D) & (e[None, :] < E)
        total = tl.sum(side, 1) / NARROW
        tl.store(last + at, state, mask=inside)
        tl.store(last_side + row * D + d, total, mask=d < D)
        if not CAUSAL:
            tl.store(starts + row * D + d, total, mask=d < D)


@triton.jit
@no_type_check
def to_queries(
    g, q, k, v, out, curvature, initial, states, kept, starts, dq, made, shares,
    g0, g1, g2, q0, q1, q2: tl.constexpr, k0, k1, k2: tl.constexpr, v0, v1, v2: tl.constexpr, H, N, segment, slots,
    D: tl.constexpr, E: tl.constexpr, CAUSAL: tl.constexpr, ELU: tl.constexpr, LOG: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, EVEN: tl.constexpr,
    BT: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """The gradient of q in one segment, and what the gradients of k and v need of its tokens."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    plane = tl.num_programs(0).to(tl.int64) * N
    g, q, k, v = _head(g, row, H, g0, g1), _head(q, row, H, q0, q1), _head(k, row, H, k0, k1), _head(v, row, H, v0, v1)
    ball = tl.load(curvature) if LOG else 0.0
    t, d, e = tl.arange(0, BT), tl.arange(0, BD), tl.arange(0, BE)
    at, inside = row * D * E + (d[None, :] * E + e[:, None]), (d[None, :] < D) & (e[:, None] < E)
    state = tl.zeros((BE, BD), tl.float32)
    if initial is not None:
        state += tl.load(initial + at, mask=inside, other=0.0)
    for slot in range(part if CAUSAL else slots):
        here = (row * slots + slot) * D * E + (d[None, :] * E + e[:, None])
        state += tl.load(states + here, mask=inside, other=0.0)
    share = tl.zeros((BT,), tl.float32)
    for start in range(part * segment, min(N, (part + 1) * segment), BT):
        scale = _of_tokens(kept, row, start, t, N, EVEN)
        gs = _tile(g, start, t, e, g2, N, E, 1, EVEN).to(tl.float32)
        y = _tile(out + row * N * E, start, t, e, E, N, E, 1, EVEN).to(tl.float32)
        if LOG:
            along = _of_tokens(kept + 2 * plane, row, start, t, N, EVEN) * tl.sum(gs * y, 1)
            share += along * tl.sum(y * y, 1) * 0.5
            along *= ball
            _to_tokens(made + plane, row, start, t, along, N, EVEN)
            gs += along[:, None] * y
        gs = _factor(gs, HALF)
        gamma = -tl.sum(gs.to(tl.float32) * y, 1)
        if LOG:
            gamma *= _of_tokens(kept + plane, row, start, t, N, EVEN)
        _to_tokens(made, row, start, t, gamma, N, EVEN)
        before = _factor(state, HALF)
        if CAUSAL:
            k_scale = _remembered(kept + 5 * plane, row, start, t, N, LOG, EVEN)
            v_scale = _remembered(kept + 7 * plane, row, start, t, N, LOG, EVEN)
            vT = _factor(_scaled(_tile(v, start, t, e, v2, N, E, 0, EVEN), v_scale, LOG, 0), HALF)
            ks = _factor(_features(_tile(k, start, t, d, k2, N, D, 1, EVEN), k_scale, d, D, ELU, LOG, 1), HALF)
            inner = tl.where(t[:, None] >= t[None, :], dot(gs, vT, PRECISION) + gamma[:, None], 0.0)
        grad = dot(gs, before, PRECISION)
        chunk = row * tl.cdiv(N, BT) + start // BT if CAUSAL else row
        side = tl.load(starts + chunk * D + d, mask=d < D, other=0.0)
        qs = _tile(q, start, t, d, q2, N, D, 1, EVEN)
        if CAUSAL:
            grad += dot(_factor(inner, HALF), ks, PRECISION)
            state += dot(vT, ks, PRECISION)
        grad = (grad + gamma[:, None] * side[None, :]) * scale[:, None]
        grad, of_q = _pulled_back(grad, qs, kept + 3 * plane, plane, row, start, t, ball, N, ELU, LOG, 1, EVEN)
        _store(dq, row, start, t, d, grad, N, D, 1, EVEN)
        if LOG:
            share += of_q
    if LOG:
        tl.store(shares + row * tl.num_programs(1) + part, tl.sum(share, 0))


@triton.jit
@no_type_check
def to_keys_and_values(
    g, q, k, v, out, curvature, states, sides, kept, made, dk, dv, shares,
    g0, g1, g2, q0, q1, q2: tl.constexpr, k0, k1, k2: tl.constexpr, v0, v1, v2: tl.constexpr, H, N, segment, slots,
    D: tl.constexpr, E: tl.constexpr, CAUSAL: tl.constexpr, ELU: tl.constexpr, LOG: tl.constexpr,
    HALF: tl.constexpr, PRECISION: tl.constexpr, EVEN: tl.constexpr,
    BT: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """The gradients of k and v in one segment, walked from its end."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    plane = tl.num_programs(0).to(tl.int64) * N
    g, q, k, v = _head(g, row, H, g0, g1), _head(q, row, H, q0, q1), _head(k, row, H, k0, k1), _head(v, row, H, v0, v1)
    ball = tl.load(curvature) if LOG else 0.0
    t, d, e, column = tl.arange(0, BT), tl.arange(0, BD), tl.arange(0, BE), tl.arange(0, NARROW)[None, :]
    state, last_side = _sums(states, sides, row, part if CAUSAL else 0, slots, slots, d, e, D, E)
    side = tl.where(column == 0, last_side[:, None], 0.0)
    share_k, share_v = tl.zeros((BT,), tl.float32), tl.zeros((BT,), tl.float32)
    first, end = part * segment, min(N, (part + 1) * segment)
    for step in range(0, end - first, BT):
        start = first + (end - first - 1) // BT * BT - step
        after = _factor(state, HALF)
        v_tile = _tile(v, start, t, e, v2, N, E, 0, EVEN)
        v_scale = _remembered(kept + 7 * plane, row, start, t, N, LOG, EVEN)
        vT = _factor(_scaled(v_tile, v_scale, LOG, 0), HALF)
        dkT = dot(after, vT, PRECISION) + tl.sum(side, 1)[:, None]
        if CAUSAL:
            gamma = _of_tokens(made, row, start, t, N, EVEN)
            gs = _tile(g, start, t, e, g2, N, E, 1, EVEN)
            if LOG:
                along = _of_tokens(made + plane, row, start, t, N, EVEN)
                gs = gs.to(tl.float32) + along[:, None] * _tile(out + row * N * E, start, t, e, E, N, E, 1, EVEN)
            gs = _once(_factor(gs, HALF)) if LOG else _factor(gs, HALF)
            q_scale = _remembered(kept + 3 * plane, row, start, t, N, LOG, EVEN)
            qT = _features(_tile(q, start, t, d, q2, N, D, 0, EVEN), q_scale, d, D, ELU, LOG, 0)
            qT = _once(_factor(qT * _of_tokens(kept, row, start, t, N, EVEN)[None, :], HALF))
            inner = tl.where(t[:, None] >= t[None, :], dot(gs, vT, PRECISION) + gamma[:, None], 0.0)
            dkT += dot(qT, _factor(inner, HALF), PRECISION)
            state += dot(qT, gs, PRECISION)
            gammas = _twofold(tl.where(column < 2, gamma[:, None], 0.0), column, HALF)
            side += dot(qT, gammas, PRECISION)
        k_tile = _tile(k, start, t, d, k2, N, D, 1, EVEN)
        dkT, of_k = _pulled_back(
            dkT, tl.trans(k_tile), kept + 5 * plane, plane, row, start, t, ball, N, ELU, LOG, 0, EVEN
        )
        _store(dk, row, start, t, d, dkT, N, D, 0, EVEN)
        k_scale = _remembered(kept + 5 * plane, row, start, t, N, LOG, EVEN)
        ks = _factor(_features(k_tile, k_scale, d, D, ELU, LOG, 1), HALF)
        if BD > 64:
            ks = _once(ks)
        dvs = dot(ks, after, PRECISION)
        if CAUSAL:
            inner = tl.where(t[:, None] <= t[None, :], dot(ks, qT, PRECISION), 0.0)
            dvs += dot(_factor(inner, HALF), gs, PRECISION)
        if LOG:
            dvs, of_v = _pulled_back(
                dvs, tl.trans(v_tile), kept + 7 * plane, plane, row, start, t, ball, N, False, LOG, 1, EVEN
            )
            share_k += of_k
            share_v += of_v
        _store(dv, row, start, t, e, dvs, N, E, 1, EVEN)
    if LOG:
        tl.store(shares + row * tl.num_programs(1) + part, tl.sum(share_k, 0) + tl.sum(share_v, 0))


@triton.jit
@no_type_check
def step(
    q, k, v, curvature, initial, initial_side, out, kept, starts, last, last_side,
    q0, q1, q2: tl.constexpr, k0, k1, k2: tl.constexpr, v0, v1, v2: tl.constexpr, H, N,
    D: tl.constexpr, E: tl.constexpr, ELU: tl.constexpr, LOG: tl.constexpr, HALF: tl.constexpr,
    BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """`attend` for few tokens, one after another: the state is read and written once."""
    row = tl.program_id(0).to(tl.int64)
    plane = tl.num_programs(0).to(tl.int64) * N
    q, k, v = _head(q, row, H, q0, q1), _head(k, row, H, k0, k1), _head(v, row, H, v0, v1)
    ball = tl.load(curvature) if LOG else 0.0
    one, d, e = tl.arange(0, 1), tl.arange(0, BD), tl.arange(0, BE)
    state, side = tl.zeros((BD, BE), tl.float32), tl.zeros((BD,), tl.float32)
    if initial is not None:
        state, side = _sums(initial, initial_side, row, 0, 1, 1, d, e, D, E)
    tl.store(starts + row * D + d, side, mask=d < D)
    side = side[:, None]
    for n in range(N):
        qT, kT = _tile(q, n, one, d, q2, N, D, 0, True), _tile(k, n, one, d, k2, N, D, 0, True)
        vs = _tile(v, n, one, e, v2, N, E, 1, True)
        q_scale = _measured(qT, kept + 3 * plane, plane, row, n, one, ball, N, LOG, HALF, 0, True)
        k_scale = _measured(kT, kept + 5 * plane, plane, row, n, one, ball, N, LOG, HALF, 0, True)
        v_scale = _measured(vs, kept + 7 * plane, plane, row, n, one, ball, N, LOG, HALF, 1, True)
        qT, kT = _features(qT, q_scale, d, D, ELU, LOG, 0), _features(kT, k_scale, d, D, ELU, LOG, 0)
        state += kT * _scaled(vs, v_scale, LOG, 1)
        side += kT
        y = tl.sum(qT * state, 0)[None, :]
        y = _finished(y, tl.sum(qT * side, 0), kept, row, n, one, plane, ball, N, LOG, True)
        _store(out, row, n, one, e, y, N, E, 1, True)
    at, inside = row * D * E + (d[:, None] * E + e[None, :]), (d[:, None] < D) & (e[None, :] < E)
    tl.store(last + at, state, mask=inside)
    tl.store(last_side + row * D + d, tl.sum(side, 1), mask=d < D)
