"""The resolvent's diagonal in Triton: each program has one segment of a row, each of its threads `K` rows of T.

A block of rows answers like one row: to the rest of T it is three complex numbers (`_join`), whatever its length.
First every thread forms its block's three; one scan over the threads, and over the segments before and after, says
what enters each block; then each thread runs both fractions through its own rows.

A complex number is two tensors, its parts. One entry of a tensor is one thread; a thread's rows are a tuple of tensors.
"""

# ruff: noqa: RUF005  (a tuple in Triton has no stars)

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import triton
import triton.language as tl

from kernels.triton import follow, reciprocal, times


@triton.jit
@no_type_check
def _inverse(x_r, x_i):
    scale = reciprocal(x_r * x_r + x_i * x_i)
    return x_r * scale, -x_i * scale


@triton.jit
@no_type_check
def _join(v_r, v_i, u_r, u_i, w_r, w_i, next_v_r, next_v_i, next_u_r, next_u_i, next_w_r, next_w_i):
    """(v, u, w) of two blocks as one (README): with s = 1 / (1 - v u'), it is (v' + w' s v, u + w s u', w s w' s)."""
    s_r, s_i = _inverse(1.0 - v_r * next_u_r + v_i * next_u_i, -v_r * next_u_i - v_i * next_u_r)
    x_r, x_i = times(w_r, w_i, s_r, s_i)
    y_r, y_i = times(next_w_r, next_w_i, s_r, s_i)
    both_r, both_i = times(x_r, x_i, y_r, y_i)
    left_r, left_i = next_v_r + y_r * v_r - y_i * v_i, next_v_i + y_r * v_i + y_i * v_r
    right_r, right_i = u_r + x_r * next_u_r - x_i * next_u_i, u_i + x_r * next_u_i + x_i * next_u_r
    return left_r, left_i, right_r, right_i, both_r, both_i


@triton.jit
@no_type_check
def _join_backwards(v_r, v_i, u_r, u_i, w_r, w_i, next_v_r, next_v_i, next_u_r, next_u_i, next_w_r, next_w_i):
    """The same where the next block stands before this one."""
    return _join(next_v_r, next_v_i, next_u_r, next_u_i, next_w_r, next_w_i, v_r, v_i, u_r, u_i, w_r, w_i)


@triton.jit
@no_type_check
def _through(own_r, own_i, other_r, other_i, w_r, w_i, x_r, x_i):
    """What leaves a block that x enters: own + w x / (1 - other x)."""
    s_r, s_i = _inverse(1.0 - other_r * x_r + other_i * x_i, -other_r * x_i - other_i * x_r)
    x_r, x_i = times(x_r, x_i, s_r, s_i)
    return own_r + w_r * x_r - w_i * x_i, own_i + w_r * x_i + w_i * x_r


@triton.jit
@no_type_check
def _then(slope_r, slope_i, s_r, s_i, next_slope_r, next_slope_i, next_s_r, next_s_i):
    """First x -> slope x + s, then the next such map."""
    both_r, both_i = times(next_slope_r, next_slope_i, slope_r, slope_i)
    s_r, s_i = _along(next_slope_r, next_slope_i, next_s_r, next_s_i, s_r, s_i)
    return both_r, both_i, s_r, s_i


@triton.jit
@no_type_check
def _along(slope_r, slope_i, s_r, s_i, x_r, x_i):
    """Slope x + s."""
    return s_r + slope_r * x_r - slope_i * x_i, s_i + slope_r * x_i + slope_i * x_r


@triton.jit
@no_type_check
def _columns(x, T: tl.constexpr, K: tl.constexpr):
    """T runs of K <= 32 numbers, taken apart: the first of each run, the second, and so on."""
    parts = (x,)
    for level in tl.static_range(5):
        if (1 << level) < K:
            even, odd = (), ()
            for j in tl.static_range(1 << level):
                one, other = tl.split(tl.reshape(parts[j], (T, K >> (level + 1), 2)))
                even, odd = even + (one,), odd + (other,)
            parts = even + odd
    columns = ()
    for k in tl.static_range(K):
        columns = columns + (tl.reshape(parts[k], (T,)),)
    return columns


@triton.jit
@no_type_check
def _runs(columns, T: tl.constexpr, K: tl.constexpr):
    """The inverse of `_columns`."""
    for level in tl.static_range(5):
        if (1 << level) < K:
            joined = ()
            for j in tl.static_range(K >> (level + 1)):
                joined = joined + (tl.join(columns[j], columns[j + (K >> (level + 1))]),)
            columns = joined
    return tl.reshape(columns[0], (T * K,))


@triton.jit
@no_type_check
def _row_and_segment(LAST_FIRST: tl.constexpr):
    """The program's row, wide enough to multiply, and its segment; last first, what was read last is still in L2."""
    row, segment = tl.program_id(0), tl.program_id(1)
    if LAST_FIRST:
        row, segment = tl.num_programs(0) - 1 - row, tl.num_programs(1) - 1 - segment
    return row.to(tl.int64), segment


@triton.jit
@no_type_check
def _load_before(b, i, n):
    """b_(i-1), and 0 where T has no such entry."""
    return tl.load(b + i - 1, mask=(i >= 1) & (i < n), other=0.0).to(tl.float32)


@triton.jit
@no_type_check
def _load_rows(a, b, c, z, row, segment, n, T: tl.constexpr, K: tl.constexpr):
    """Each thread's rows: alpha = a - z by its real parts and its one imaginary part, and the p before each row.

    Past the end alpha is 1 - i Im z, and p is 0.
    """
    i = segment * T * K + tl.arange(0, T * K)
    alpha = tl.load(a + row * n + i, mask=i < n, other=0.0).to(tl.float32) - tl.load(z + 2 * row)
    p = _load_before(b + row * (n - 1), i, n) * _load_before(c + row * (n - 1), i, n)
    return _columns(tl.where(i < n, alpha, 1.0), T, K), -tl.load(z + 2 * row + 1), _columns(p, T, K)


@triton.jit
@no_type_check
def _block(alpha_r, alpha_i, p, K: tl.constexpr):
    """(v, u, w) of each thread's rows: each row continues the fraction v = 1 / (alpha - p v) and adds to the others."""
    v_r, v_i = _inverse(alpha_r[0], alpha_i)
    u_r, u_i = p[0] * v_r, p[0] * v_i
    w_r, w_i = times(u_r, u_i, v_r, v_i)
    for k in tl.static_range(1, K):
        v_r, v_i = _inverse(alpha_r[k] - p[k] * v_r, alpha_i - p[k] * v_i)
        x_r, x_i = times(w_r, w_i, p[k] * v_r, p[k] * v_i)
        u_r, u_i = u_r + x_r, u_i + x_i
        w_r, w_i = times(x_r, x_i, v_r, v_i)
    return v_r, v_i, u_r, u_i, w_r, w_i


@triton.jit
@no_type_check
def _store_last(to, values, step, T: tl.constexpr):
    """The last thread's values, `step` apart."""
    t = tl.arange(0, T)
    for k in tl.static_range(len(values)):
        tl.store(to + k * step + 0 * t, values[k], mask=t == T - 1)


@triton.jit
@no_type_check
def forward_maps(a, b, c, z, maps, n, T: tl.constexpr, K: tl.constexpr, FOLLOWS: tl.constexpr):
    """(v, u, w) of each segment."""
    follow(FOLLOWS)
    row, segment = _row_and_segment(LAST_FIRST=False)
    segments = tl.num_programs(1)
    alpha_r, alpha_i, p = _load_rows(a, b, c, z, row, segment, n, T, K)
    whole = tl.associative_scan(_block(alpha_r, alpha_i, p, K), 0, _join)
    _store_last(maps + 6 * row * segments + segment, whole, segments, T)


@triton.jit
@no_type_check
def _incoming(maps, segment, segments, T: tl.constexpr, LANES: tl.constexpr):
    """What enters a segment from the left and from the right, to each thread.

    The segments after this one and then those before it, as if the row were a ring: no entry joins its two ends,
    so that of this one long block u is what enters from the right, and v what enters from the left.
    """
    lane = tl.arange(0, LANES)
    zero = tl.zeros((LANES,), tl.float32)
    v_r, v_i, u_r, u_i, w_r, w_i = zero, zero, zero, zero, zero + 1.0, zero
    run = tl.cdiv(segments - 1, LANES)
    for step in range(run):
        j = lane * run + step
        at, there = segment + 1 + j, j < segments - 1
        at = maps + tl.where(at < segments, at, at - segments)
        next_v_r, next_v_i = tl.load(at, there, 0.0), tl.load(at + segments, there, 0.0)
        next_u_r, next_u_i = tl.load(at + 2 * segments, there, 0.0), tl.load(at + 3 * segments, there, 0.0)
        next_w_r, next_w_i = tl.load(at + 4 * segments, there, 1.0), tl.load(at + 5 * segments, there, 0.0)
        v_r, v_i, u_r, u_i, w_r, w_i = _join(
            v_r, v_i, u_r, u_i, w_r, w_i, next_v_r, next_v_i, next_u_r, next_u_i, next_w_r, next_w_i
        )
    v_r, v_i, u_r, u_i, _, _ = tl.associative_scan((v_r, v_i, u_r, u_i, w_r, w_i), 0, _join)
    last = tl.full((T,), LANES - 1, tl.int32)
    return tl.gather(v_r, last, 0), tl.gather(v_i, last, 0), tl.gather(u_r, last, 0), tl.gather(u_i, last, 0)


@triton.jit
@no_type_check
def _backwards(values, T: tl.constexpr):
    """Each thread's values in the last thread's place: a scan of them runs the other way, with fewer instructions."""
    place = T - 1 - tl.arange(0, T)
    turned = ()
    for k in tl.static_range(len(values)):
        turned = turned + (tl.gather(values[k], place, 0),)
    return turned


@triton.jit
@no_type_check
def _from_left(x, first, T: tl.constexpr):
    """The x of the thread before, and `first` for the first thread."""
    t = tl.arange(0, T)
    return tl.where(t == 0, first, tl.gather(x, tl.maximum(t - 1, 0), 0))


@triton.jit
@no_type_check
def _from_right(x, last, T: tl.constexpr):
    """The x of the thread after, and `last` for the last thread, where x is `_backwards`."""
    t = tl.arange(0, T)
    return tl.where(t == T - 1, last, tl.gather(x, tl.maximum(T - 2 - t, 0), 0))


@triton.jit
@no_type_check
def _entering(block, v_r, v_i, u_r, u_i, T: tl.constexpr, SPLIT: tl.constexpr):
    """What enters each thread's block from either side, given what enters the segment: nothing, unless it is SPLIT."""
    a_r, a_i, b_r, b_i, c_r, c_i = tl.associative_scan(block, 0, _join)
    d_r, d_i, e_r, e_i, f_r, f_i = tl.associative_scan(_backwards(block, T), 0, _join_backwards)
    if SPLIT:
        a_r, a_i = _through(a_r, a_i, b_r, b_i, c_r, c_i, v_r, v_i)
        e_r, e_i = _through(e_r, e_i, d_r, d_i, f_r, f_i, u_r, u_i)
    v_r, v_i = _from_left(a_r, v_r, T), _from_left(a_i, v_i, T)
    return v_r, v_i, _from_right(e_r, u_r, T), _from_right(e_i, u_i, T)


@triton.jit
@no_type_check
def _store_state(states, block, blocks, v_r, v_i, u_r, u_i, T: tl.constexpr):
    """What enters each thread's block from the left and from the right."""
    both = tl.reshape(tl.join(tl.join(v_r, u_r), tl.join(v_i, u_i)), (T, 4))
    place = block[:, None]
    tl.store(states + 4 * place + tl.arange(0, 4)[None, :], both, mask=place < blocks)


@triton.jit
@no_type_check
def _load_state(states, block, blocks, T: tl.constexpr):
    """The same, back, and 0 past the end."""
    place = block[:, None]
    both = tl.load(states + 4 * place + tl.arange(0, 4)[None, :], mask=place < blocks, other=0.0)
    re, im = tl.split(tl.reshape(both, (T, 2, 2)))
    v_r, u_r = tl.split(re)
    v_i, u_i = tl.split(im)
    return v_r, v_i, u_r, u_i


@triton.jit
@no_type_check
def _store_diagonal(out, first, n, x_r, x_i, T: tl.constexpr, K: tl.constexpr):
    """Each thread's K complex numbers, four at a time: 32 bytes, the least that memory moves."""
    for k in tl.static_range(0, K, 4):
        re = tl.join(tl.join(x_r[k], x_r[k + 2]), tl.join(x_r[k + 1], x_r[k + 3]))
        im = tl.join(tl.join(x_i[k], x_i[k + 2]), tl.join(x_i[k + 1], x_i[k + 3]))
        at = 2 * (first + k)[:, None] + tl.arange(0, 8)[None, :]
        tl.store(out + at, tl.reshape(tl.join(re, im), (T, 8)), mask=at < 2 * n)


@triton.jit
@no_type_check
def forward(
    a, b, c, z, maps, out, states, n, T: tl.constexpr, K: tl.constexpr, LANES: tl.constexpr, FOLLOWS: tl.constexpr
):
    """G, and what enters each thread's rows; LANES is 0 where a row is one segment, which nothing enters."""
    follow(FOLLOWS)
    row, segment = _row_and_segment(LAST_FIRST=True)
    segments = tl.num_programs(1)
    alpha_r, alpha_i, p = _load_rows(a, b, c, z, row, segment, n, T, K)
    if LANES > 0:
        v_r, v_i, u_r, u_i = _incoming(maps + 6 * row * segments, segment, segments, T, LANES)
    else:
        v_r = tl.zeros((T,), tl.float32)
        v_i, u_r, u_i = v_r, v_r, v_r
    v_r, v_i, u_r, u_i = _entering(_block(alpha_r, alpha_i, p, K), v_r, v_i, u_r, u_i, T, LANES > 0)
    first_r, first_i, d_r, d_i = v_r, v_i, (), ()
    for k in tl.static_range(K):
        d_r, d_i = d_r + (alpha_r[k] - p[k] * v_r,), d_i + (alpha_i - p[k] * v_i,)
        v_r, v_i = _inverse(d_r[k], d_i[k])
    block, blocks = segment * T + tl.arange(0, T), tl.cdiv(n, K)
    _store_state(states + 4 * row * blocks, block, blocks, first_r, first_i, u_r, u_i, T)
    x_r, x_i = (), ()
    for k in tl.static_range(K - 1, -1, -1):
        g_r, g_i = _inverse(d_r[k] - u_r, d_i[k] - u_i)
        x_r, x_i = (g_r,) + x_r, (g_i,) + x_i
        u_r, u_i = _inverse(alpha_r[k] - u_r, alpha_i - u_i)
        u_r, u_i = p[k] * u_r, p[k] * u_i
    _store_diagonal(out + 2 * row * n, block * K, n, x_r, x_i, T, K)


@triton.jit
@no_type_check
def _conjugate_square(x_r, x_i):
    return x_r * x_r - x_i * x_i, -2.0 * x_r * x_i


@triton.jit
@no_type_check
def _times_conjugate(x_r, x_i, y_r, y_i):
    """The product of x and conj(y)."""
    return x_r * y_r + x_i * y_i, x_i * y_r - x_r * y_i


@triton.jit
@no_type_check
def _load_gradient(g, segment, n, T: tl.constexpr, K: tl.constexpr):
    """The real and imaginary parts of each thread's g in turn, and 0 past the end."""
    i = segment * 2 * T * K + tl.arange(0, 2 * T * K)
    return _columns(tl.load(g + i, mask=i < 2 * n, other=0.0), T, 2 * K)


@triton.jit
@no_type_check
def _responses(alpha_r, alpha_i, p, g, states, segment, n, T: tl.constexpr, K: tl.constexpr):
    """The v before each row and after the last, the u of each row, and gamma, the gradient of 1 / G."""
    v_r, v_i, hat_r, hat_i = _load_state(states, segment * T + tl.arange(0, T), tl.cdiv(n, K), T)
    before_r, before_i = (v_r,), (v_i,)
    for k in tl.static_range(K):
        v_r, v_i = _inverse(alpha_r[k] - p[k] * v_r, alpha_i - p[k] * v_i)
        before_r, before_i = before_r + (v_r,), before_i + (v_i,)
    u_r, u_i, gamma_r, gamma_i = (), (), (), ()
    for k in tl.static_range(K - 1, -1, -1):
        e_r, e_i = alpha_r[k] - hat_r, alpha_i - hat_i
        x_r, x_i = _inverse(e_r - p[k] * before_r[k], e_i - p[k] * before_i[k])
        x_r, x_i = _conjugate_square(x_r, x_i)
        x_r, x_i = times(-g[2 * k], -g[2 * k + 1], x_r, x_i)
        gamma_r, gamma_i = (x_r,) + gamma_r, (x_i,) + gamma_i
        x_r, x_i = _inverse(e_r, e_i)
        u_r, u_i = (x_r,) + u_r, (x_i,) + u_i
        hat_r, hat_i = p[k] * x_r, p[k] * x_i
    return before_r, before_i, u_r, u_i, gamma_r, gamma_i


@triton.jit
@no_type_check
def _sums(p, before_r, before_i, u_r, u_i, gamma_r, gamma_i, K: tl.constexpr):
    """Each thread's rows as one map of p delta from the right, and as one of epsilon from the left."""
    slope_r, slope_i = _conjugate_square(before_r[K], before_i[K])
    delta = (slope_r, slope_i, gamma_r[K - 1], gamma_i[K - 1])
    for k in tl.static_range(K - 1, 0, -1):
        q_r, q_i = _conjugate_square(before_r[k], before_i[k])
        delta = _then(delta[0], delta[1], delta[2], delta[3], p[k] * q_r, p[k] * q_i, gamma_r[k - 1], gamma_i[k - 1])
    q_r, q_i = _conjugate_square(u_r[0], u_i[0])
    epsilon = (p[0] * q_r, p[0] * q_i, gamma_r[0], gamma_i[0])
    for k in tl.static_range(1, K):
        q_r, q_i = _conjugate_square(u_r[k], u_i[k])
        epsilon = _then(epsilon[0], epsilon[1], epsilon[2], epsilon[3], p[k] * q_r, p[k] * q_i, gamma_r[k], gamma_i[k])
    return (p[0] * delta[0], p[0] * delta[1], p[0] * delta[2], p[0] * delta[3]), epsilon


@triton.jit
@no_type_check
def backward_maps(g, a, b, c, z, states, maps, n, T: tl.constexpr, K: tl.constexpr, FOLLOWS: tl.constexpr):
    """The maps of p delta and of epsilon of each segment."""
    follow(FOLLOWS)
    row, segment = _row_and_segment(LAST_FIRST=False)
    segments = tl.num_programs(1)
    alpha_r, alpha_i, p = _load_rows(a, b, c, z, row, segment, n, T, K)
    g = _load_gradient(g + 2 * row * n, segment, n, T, K)
    v_r, v_i, u_r, u_i, gamma_r, gamma_i = _responses(
        alpha_r, alpha_i, p, g, states + 4 * row * tl.cdiv(n, K), segment, n, T, K
    )
    delta, epsilon = _sums(p, v_r, v_i, u_r, u_i, gamma_r, gamma_i, K)
    maps += 8 * row * segments + segment
    _store_last(maps, tl.associative_scan(_backwards(delta, T), 0, _then), segments, T)
    _store_last(maps + 4 * segments, tl.associative_scan(epsilon, 0, _then), segments, T)


@triton.jit
@no_type_check
def _incoming_sums(maps, segment, segments, T: tl.constexpr, LANES: tl.constexpr):
    """The p delta and the epsilon that enter a segment, to each thread.

    Half of the lanes have the segments after this one, from the last, the other half those before it, from the first:
    one scan serves both, since a slope of zero at the border keeps them apart.
    """
    lane = tl.arange(0, 2 * LANES)
    zero = tl.zeros((2 * LANES,), tl.float32)
    slope_r, slope_i, s_r, s_i = tl.where(lane == LANES, 0.0, 1.0), zero, zero, zero
    run = tl.cdiv(segments - 1, LANES)
    for step in range(run):
        j = (lane % LANES) * run + step
        at = maps + tl.where(lane < LANES, segments - 1 - j, 4 * segments + j)
        there = j < tl.where(lane < LANES, segments - 1 - segment, segment)
        next_r, next_i = tl.load(at, there, 1.0), tl.load(at + segments, there, 0.0)
        x_r, x_i = tl.load(at + 2 * segments, there, 0.0), tl.load(at + 3 * segments, there, 0.0)
        slope_r, slope_i, s_r, s_i = _then(slope_r, slope_i, s_r, s_i, next_r, next_i, x_r, x_i)
    _, _, s_r, s_i = tl.associative_scan((slope_r, slope_i, s_r, s_i), 0, _then)
    delta, epsilon = tl.full((T,), LANES - 1, tl.int32), tl.full((T,), 2 * LANES - 1, tl.int32)
    return tl.gather(s_r, delta, 0), tl.gather(s_i, delta, 0), tl.gather(s_r, epsilon, 0), tl.gather(s_i, epsilon, 0)


@triton.jit
@no_type_check
def _entering_sums(delta, epsilon, x_r, x_i, y_r, y_i, T: tl.constexpr):
    """The p delta and the epsilon that enter each thread's rows, given those that enter the segment."""
    a_r, a_i, b_r, b_i = tl.associative_scan(_backwards(delta, T), 0, _then)
    c_r, c_i, d_r, d_i = tl.associative_scan(epsilon, 0, _then)
    b_r, b_i = _along(a_r, a_i, b_r, b_i, x_r, x_i)
    d_r, d_i = _along(c_r, c_i, d_r, d_i, y_r, y_i)
    x_r, x_i = _from_right(b_r, x_r, T), _from_right(b_i, x_i, T)
    return x_r, x_i, _from_left(d_r, y_r, T), _from_left(d_i, y_i, T)


@triton.jit
@no_type_check
def backward(
    g, a, b, c, z, states, maps, da, db, dc, dz, n,
    T: tl.constexpr, K: tl.constexpr, LANES: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """Adjoint of both fractions: delta runs against d, epsilon against e (README); of dz, each segment's part."""
    follow(FOLLOWS)
    row, segment = _row_and_segment(LAST_FIRST=True)
    segments = tl.num_programs(1)
    if LANES > 0:
        hat_r, hat_i, epsilon_r, epsilon_i = _incoming_sums(maps + 8 * row * segments, segment, segments, T, LANES)
    else:
        hat_r = tl.zeros((T,), tl.float32)
        hat_i, epsilon_r, epsilon_i = hat_r, hat_r, hat_r
    alpha_r, alpha_i, p = _load_rows(a, b, c, z, row, segment, n, T, K)
    g = _load_gradient(g + 2 * row * n, segment, n, T, K)
    v_r, v_i, u_r, u_i, gamma_r, gamma_i = _responses(
        alpha_r, alpha_i, p, g, states + 4 * row * tl.cdiv(n, K), segment, n, T, K
    )
    delta, epsilon = _sums(p, v_r, v_i, u_r, u_i, gamma_r, gamma_i, K)
    hat_r, hat_i, epsilon_r, epsilon_i = _entering_sums(delta, epsilon, hat_r, hat_i, epsilon_r, epsilon_i, T)
    dz_i = tl.zeros((T,), tl.float32)
    x_r, x_i = _times_conjugate(hat_r, hat_i, v_r[K], v_i[K])
    x_r, x_i = _times_conjugate(x_r, x_i, v_r[K], v_i[K])
    dalpha, dp = (), ()
    for k in tl.static_range(K - 1, -1, -1):
        dalpha, dz_i = (x_r,) + dalpha, dz_i - x_i
        x_r, x_i = _times_conjugate(gamma_r[k] + x_r, gamma_i[k] + x_i, v_r[k], v_i[k])
        dp = (-x_r,) + dp
        x_r, x_i = _times_conjugate(p[k] * x_r, p[k] * x_i, v_r[k], v_i[k])
    dz_r = tl.zeros((T,), tl.float32)
    whole_a, whole_p = (), ()
    for k in tl.static_range(K):
        x_r, x_i = _times_conjugate(epsilon_r, epsilon_i, u_r[k], u_i[k])
        whole_p = whole_p + (dp[k] - x_r,)
        x_r, x_i = _times_conjugate(p[k] * x_r, p[k] * x_i, u_r[k], u_i[k])
        epsilon_r, epsilon_i = gamma_r[k] + x_r, gamma_i[k] + x_i
        whole_a = whole_a + (dalpha[k] + epsilon_r,)
        dz_r, dz_i = dz_r - whole_a[k], dz_i - epsilon_i
    dz += 2 * (row * segments + segment)
    tl.store(dz, tl.sum(dz_r))
    tl.store(dz + 1, tl.sum(dz_i))
    i = segment * T * K + tl.arange(0, T * K)
    tl.store(da + row * n + i, _runs(whole_a, T, K), mask=i < n)
    dp, before, at = _runs(whole_p, T, K), (i >= 1) & (i < n), row * (n - 1) + i - 1
    tl.store(db + at, _load_before(c + row * (n - 1), i, n) * dp, mask=before)
    tl.store(dc + at, _load_before(b + row * (n - 1), i, n) * dp, mask=before)
