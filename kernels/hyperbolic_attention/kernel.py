"""Flash attention whose score is a hyperbolic distance: nothing of size N x M leaves the chip.

With x = 2c |q - k|^2 / (a b), a = 1 - c |q|^2 and b = 1 - c |k|^2, the hyperbolic cosine of sqrt c d is 1 + x, and the
score is -beta d = -(beta / sqrt c) log(1 + x + sqrt(x (x + 2))): one root and one logarithm.

In all tiles the rows are a program's own points, the columns those that it walks over. Two loops of a program share
the columns: one without masks or branches, and a careful one for the tiles on the diagonal, at the end, and those
with near pairs.
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl

from kernels.triton import dot, log2, rounded

NOTHING = tl.constexpr(-1e30)
"""log2 of the largest weight of a row that has seen none yet: finite, so that differences are."""

SMALLEST = tl.constexpr(2.0**-120)
"""An x (x + 2) that is no distance: its root would not be a normal number's."""

TINY = tl.constexpr(2.0**-100)
"""Added to every x: the slope at two points in the origin is finite, and multiplies zero."""


@triton.jit
@no_type_check
def _log2(x, EXACT: tl.constexpr):
    return tl.log2(x) if EXACT else log2(x)


@triton.jit
@no_type_check
def _rows(x, first, i, d, stride, N, D, INSIDE: tl.constexpr, WHOLE: tl.constexpr):
    """Rows first + i of x, zero outside; INSIDE says that none is, WHOLE that columns are D."""
    at = x + tl.cast(first, tl.int64) * stride + (i[:, None] * stride + d[None, :])
    if INSIDE and WHOLE:
        return tl.load(at)
    elif INSIDE:  # noqa: RET505
        return tl.load(at, mask=d[None, :] < D, other=0.0)
    else:
        return tl.load(at, mask=(first + i < N)[:, None] & (d[None, :] < D), other=0.0)


@triton.jit
@no_type_check
def _pair(x, y):
    """Two float32 as one word: a tile reads both at once."""
    return x.to(tl.uint32, bitcast=True).to(tl.int64) | (y.to(tl.int32, bitcast=True).to(tl.int64) << 32)


@triton.jit
@no_type_check
def _parted(word):
    """Return the two float32 of a word."""
    return word.to(tl.int32).to(tl.float32, bitcast=True), (word >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
@no_type_check
def norms(x, curvature, found, x0, x1, x2, H, N, D, BLOCK: tl.constexpr, BD: tl.constexpr):
    """|x|^2 and 1 / (1 - c |x|^2) of every row; NaN on the ball's boundary and outside."""
    row, n = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    tile = _rows(x + row // H * x0 + row % H * x1, 0, n, tl.arange(0, BD), x2, N, D, False, False).to(tl.float32)
    square = tl.sum(tile * tile, 1)
    square = tl.where(tl.load(curvature) * square < 1, square, float("nan"))
    tl.store(found + row * N + n, _pair(square, 1 / (1 - tl.load(curvature) * square)), mask=n < N)


@triton.jit
@no_type_check
def _own(word, c):
    """A point's factor of x, 2c / (1 - c |x|^2), and that times |x|^2."""
    square, inverse = _parted(word)
    factor = 2 * c * inverse
    return factor, factor * square + TINY


@triton.jit
@no_type_check
def _expanded(rows, columns, factor, offset, squares):
    """The rows' factors times |x|^2 + |y|^2 - 2 x.y. Each time to the last bit the same: no sum is left to contract."""
    return tl.fma(factor[:, None], squares[None, :] - 2 * dot(rows, tl.trans(columns), "ieee"), offset[:, None])


@triton.jit
@no_type_check
def _apart(x, y, n, m, x2, y2, N, M, d):
    """Coordinate d of x_n - y_m."""
    left = tl.load(x + n.to(tl.int64) * x2 + d, mask=n < N, other=0.0).to(tl.float32)
    right = tl.load(y + m.to(tl.int64) * y2 + d, mask=m < M, other=0.0).to(tl.float32)
    return left[:, None] - right[None, :]


@triton.jit
@no_type_check
def _summed(x, y, n, m, x2, y2, N, M, D, R: tl.constexpr, C: tl.constexpr):
    """|x_n - y_m|^2 from differences of coordinates."""
    square = tl.zeros((R, C), tl.float32)
    for d in range(D):
        apart = _apart(x, y, n, m, x2, y2, N, M, d)
        square += apart * apart
    return square


@triton.jit
@no_type_check
def _careful(
    rows, columns, factor, offset, squares, x, y, n, m, x2, y2, N, M, D,
    DIRECT: tl.constexpr, NEAR: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """The rows' factors times |x_n - y_m|^2, summed from differences where a pair is near, and each row's least before.

    For float32 always: products by the tensor cores would not be exact. A pair is near if |x - y|^2 < NEAR |x|^2.
    """
    if DIRECT:
        scaled, least = factor[:, None] * _summed(x, y, n, m, x2, y2, N, M, D, R, C), offset
    else:
        scaled = _expanded(rows, columns, factor, offset, squares)
        least = tl.min(scaled, 1)
        near = tl.max((least < NEAR * offset).to(tl.int32))
        # Not a branch: for one that redefines what a product had computed, ptxas gives up asynchronous products.
        scaled = tl.where(near > 0, factor[:, None] * _summed(x, y, n, m, x2, y2, N, M, near * D, R, C), scaled)
    return scaled, least


@triton.jit
@no_type_check
def _length(x, DIRECT: tl.constexpr):
    """The distance in units of ln 2 / sqrt c. A rounding below x = 0 does not matter: such pairs are near."""
    cosh = x + 1
    return _log2(cosh + tl.sqrt(tl.abs(tl.fma(x, cosh, x))), DIRECT)


@triton.jit
@no_type_check
def _factor_of(x, like):
    """The tile x as a product with `like` takes it."""
    if like.dtype == tl.bfloat16:
        return rounded(x)
    else:  # noqa: RET505
        return x.to(like.dtype)


@triton.jit
@no_type_check
def _joined(top, weight, mean, higher, share, values):
    """Weights and sums of values with a tile's shares, all relative to the new top."""
    kept = tl.exp2(top - higher)
    weight = weight * kept + tl.sum(share, 1)
    return weight, mean * kept[:, None] + dot(_factor_of(share, values), values, "ieee")


@triton.jit
@no_type_check
def _span_at(spans, row, start, N, SPAN: tl.constexpr, R: tl.constexpr):
    """Where the spans of R queries are kept, and which of them there are."""
    part = start // SPAN + tl.arange(0, max(R // SPAN, 1))
    return spans + (row * tl.cdiv(N, SPAN) + part) * 2, part < tl.cdiv(N, SPAN)


@triton.jit
@no_type_check
def forward(
    q, k, v, beta, curvature, q_norms, k_norms, out, total, spans, shift,
    q0, q1, q2, k0, k1, k2, v0, v1, v2, H, N, M, D, E,
    CAUSAL: tl.constexpr, DIRECT: tl.constexpr, NEAR: tl.constexpr, SPAN: tl.constexpr, WHOLE: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """One tile of queries: the output, log2 of the sum of weights, and the span of keys that holds all near ones.

    The fast loop leaves out the rows of a tile that have a near pair there, and marks the tile's place in 32 parts of
    the keys. The careful one looks at the marked span again, finds the same rows, and adds them.
    """
    row = tl.program_id(1).to(tl.int64)
    start = (tl.num_programs(0) - 1 - tl.program_id(0)) * R  # under a mask the last tiles are the longest
    q += row // H * q0 + row % H * q1
    k += row // H * k0 + row % H * k1
    v += row // H * v0 + row % H * v1
    k_norms += row * M
    c = tl.load(curvature)
    rate = tl.load(beta) / tl.sqrt(c)
    i, j, d, e = tl.arange(0, R), tl.arange(0, C), tl.arange(0, BD), tl.arange(0, BE)
    n = start + i
    queries = _rows(q, start, i, d, q2, N, D, False, False)
    factor, offset = _own(tl.load(q_norms + row * N + n, mask=n < N, other=0), c)
    # Were beta negative, the nearest key would not have the largest score: then nothing is done fast.
    near = tl.where(rate < 0, float("inf"), NEAR)
    top, weight, mean = tl.full((R,), NOTHING, tl.float32), tl.zeros((R,), tl.float32), tl.zeros((R, BE), tl.float32)
    marks = tl.zeros((R,), tl.int32)
    end = min(M, start + R) if CAUSAL else M
    full = 0 if DIRECT else (min(M, start) if CAUSAL else M) // C * C
    if not DIRECT:
        for first in range(0, full, C):
            squares, inverse = _parted(tl.load(k_norms + first + j))
            keys = _rows(k, first, j, d, k2, M, D, True, WHOLE)
            scaled = _expanded(queries, keys, factor, offset, squares)
            put_off = tl.min(scaled, 1) < near * offset
            marks = tl.where(put_off, marks | (1 << (first >> shift)), marks)
            x = scaled * inverse[None, :]
            highest = -rate * _length(tl.min(x, 1), DIRECT)
            higher = tl.where(put_off, top, tl.maximum(top, highest))
            base = tl.where(put_off, float("inf"), higher)
            share = tl.exp2(tl.fma(_length(x, DIRECT), -rate, -base[:, None]))
            values = _rows(v, first, j, e, v2, M, E, True, WHOLE)
            weight, mean = _joined(top, weight, mean, higher, share, values)
            top = higher
    part = tl.arange(0, 32)
    marked = tl.max((marks[:, None] >> part[None, :]) & 1, 0) > 0
    low = min(tl.min(tl.where(marked, part, 32)) << shift, full)
    high = max(min(tl.max(tl.where(marked, part + 1, 0)) << shift, full), low)
    near_low, near_high = tl.where(low < high, low, M), high
    for step in tl.range(0, high - low + end - full, C, num_stages=1):
        again = step < high - low
        first = tl.where(again, low + step, full + step - (high - low))
        m = first + j
        squares, inverse = _parted(tl.load(k_norms + m, mask=m < M, other=0))
        keys = _rows(k, first, j, d, k2, M, D, False, False)
        scaled, least = _careful(
            queries, keys, factor, offset, squares, q, k, n, m, q2, k2, N, M, D, DIRECT, NEAR, R, C
        )
        found = tl.max((least < NEAR * offset).to(tl.int32)) > 0
        near_low = tl.where(found, min(near_low, first), near_low)
        near_high = tl.where(found, max(near_high, first + C), near_high)
        seen = (m[None, :] < M) & ((n[:, None] >= m[None, :]) if CAUSAL else True)
        seen &= tl.where(again, least < near * offset, True)[:, None]
        score = tl.where(seen, -rate * _length(scaled * inverse[None, :], DIRECT), -float("inf"))
        higher = tl.maximum(top, tl.max(score, 1))
        values = _rows(v, first, j, e, v2, M, E, False, False)
        weight, mean = _joined(top, weight, mean, higher, tl.exp2(score - higher[:, None]), values)
        top = higher
    at, there = _span_at(spans, row, start, N, SPAN, R)
    tl.store(at, near_low, mask=there)
    tl.store(at + 1, near_high, mask=there)
    tl.store(total + row * N + n, top + tl.log2(weight), mask=n < N)
    to = (row * N + n[:, None]) * E + e[None, :]
    tl.store(out + to, mean / weight[:, None], mask=(n[:, None] < N) & (e[None, :] < E))


@triton.jit
@no_type_check
def _row_sums(x, R: tl.constexpr, C: tl.constexpr):
    """Sums of every row in four parts, which no thread has to be asked for; the last sum of all is made once."""
    return tl.sum(tl.sum(tl.reshape(x, (R, C // 8, 4, 2)), 1), 2)


@triton.jit
@no_type_check
def _weighed(scaled, inverse, gain, seen, rate, log_total, DIRECT: tl.constexpr, CAREFUL: tl.constexpr):
    """Return what a pair adds to gradients: scaled, x, the distance in units of ln 2 / sqrt c, p, gain, and flow.

    The gradient by a score is p gain. Flow is p times a score's derivative by `scaled`, short of -rate: inverse /
    sqrt(x (x + 2)), of which one root gives the distance too. What is not seen adds zeros.
    """
    if CAREFUL:
        scaled, inverse, gain = tl.where(seen, scaled, 0.0), tl.where(seen, inverse, 0.0), tl.where(seen, gain, 0.0)
    x = scaled * inverse
    cosh = x + 1
    square = tl.fma(x, cosh, x)
    slope = tl.rsqrt(tl.maximum(square, SMALLEST) if CAREFUL else square)
    if CAREFUL:  # at x = 0, where the distance has a kink, no slope
        slope = tl.where(square > SMALLEST, slope, 0.0)
    length = _log2(tl.fma(square, slope, cosh), DIRECT)
    p = tl.exp2(tl.fma(length, -rate, -log_total))
    if CAREFUL:
        p = tl.where(seen, p, 0.0)
    return scaled, x, length, p, gain, p * (slope * inverse)


@triton.jit
@no_type_check
def _pulled(
    towards, pull, w, columns, x, y, n, m, x2, y2, N, M, D, dims,
    DIRECT: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Add sum_m w_nm y_m and, in four parts, 16 sum_m w_nm; in float32 sum_m w_nm (y_m - x_n), and nothing.

    x sum w - sum w y takes the same rounded w in both, as factor of two products: what ought to cancel does. The second
    leaves no product under way at the end of a step; with one, ptxas may give up asynchronous products.
    w of float16 goes through TF32: its digits, and room for 1 / distance.
    """
    ones = tl.full((C, 16), 1.0, tl.float32)
    if DIRECT:
        for d in range(D):
            part = tl.sum(w * _apart(x, y, n, m, x2, y2, N, M, d), 1)
            towards -= tl.where(dims[None, :] == d, part[:, None], 0.0)
    elif columns.dtype == tl.float16:
        towards += dot(w, columns.to(tl.float32), "tf32")
        pull += _row_sums(dot(w, ones, "tf32"), R, 16)
    else:
        w = rounded(w)
        towards += dot(w, columns, "ieee")
        pull += _row_sums(dot(w, rounded(ones), "ieee"), R, 16)
    return towards, pull


@triton.jit
@no_type_check
def _moments(sums, scaled, x, length, p, gain, flow, R: tl.constexpr, C: tl.constexpr):
    """Add a tile to a query's sums over keys, weighted by gradients of scores and, for their means, by weights."""
    surplus, far, steepness, bent, mean_far, mean_steepness, mean_bent = sums
    d_score, pull = p * gain, flow * gain
    return (
        surplus + _row_sums(d_score, R, C),
        far + _row_sums(d_score * length, R, C),
        steepness + _row_sums(pull * scaled, R, C),
        bent + _row_sums(pull * x, R, C),
        mean_far + _row_sums(p * length, R, C),
        mean_steepness + _row_sums(flow * scaled, R, C),
        mean_bent + _row_sums(flow * x, R, C),
    )


@triton.jit
@no_type_check
def backward_q(
    q, k, v, g, beta, curvature, q_norms, k_norms, out, total, spans, dq, closing, by_beta, by_curvature,
    q0, q1, q2, k0, k1, k2, v0, v1, v2, H, N, M, D, E,
    CAUSAL: tl.constexpr, DIRECT: tl.constexpr, NEAR: tl.constexpr, SPAN: tl.constexpr, WHOLE: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """One tile of queries: their gradient, and what they add to those of beta and the curvature.

    Score gradients of a row add up to zero, but for a surplus that g.o, from a rounded output, leaves. Sums over them
    are taken of differences from the row's mean, and the pass over keys gets a corrected g.o.
    """
    row = tl.program_id(1).to(tl.int64)
    start = (tl.num_programs(0) - 1 - tl.program_id(0)) * R
    q += row // H * q0 + row % H * q1
    k += row // H * k0 + row % H * k1
    v += row // H * v0 + row % H * v1
    k_norms += row * M
    c = tl.load(curvature)
    rate = tl.load(beta) / tl.sqrt(c)
    i, j, d, e = tl.arange(0, R), tl.arange(0, C), tl.arange(0, BD), tl.arange(0, BE)
    n = start + i
    queries = _rows(q, start, i, d, q2, N, D, False, False)
    grad = _rows(g + row * N * E, start, i, e, E, N, E, False, False)
    factor, offset = _own(tl.load(q_norms + row * N + n, mask=n < N, other=0), c)
    log_total = tl.load(total + row * N + n, mask=n < N, other=float("inf"))
    output = _rows(out + row * N * E, start, i, e, E, N, E, False, False)
    own = tl.sum(grad.to(tl.float32) * output.to(tl.float32), 1)
    towards, pull = tl.zeros((R, BD), tl.float32), tl.zeros((R, 4), tl.float32)
    zero = tl.zeros((R, 4), tl.float32)
    sums = (zero, zero, zero, zero, zero, zero, zero)
    end = min(M, start + R) if CAUSAL else M
    full = 0 if DIRECT else (min(M, start) if CAUSAL else M) // C * C
    at, there = _span_at(spans, row, start, N, SPAN, R)
    low = min(tl.min(tl.load(at, mask=there, other=M)) // C * C, full)
    skipped = max(min(tl.cdiv(tl.max(tl.load(at + 1, mask=there, other=0)), C) * C, full) - low, 0)
    if not DIRECT:
        for step in range(0, full - skipped, C):
            first = tl.where(step < low, step, step + skipped)
            squares, inverse = _parted(tl.load(k_norms + first + j))
            keys, values = _rows(k, first, j, d, k2, M, D, True, WHOLE), _rows(v, first, j, e, v2, M, E, True, WHOLE)
            scaled = _expanded(queries, keys, factor, offset, squares)
            gain = dot(grad, tl.trans(values), "ieee") - own[:, None]
            scaled, x, length, p, gain, flow = _weighed(
                scaled, inverse[None, :], gain, True, rate, log_total[:, None], DIRECT, False
            )
            sums = _moments(sums, scaled, x, length, p, gain, flow, R, C)
            towards, pull = _pulled(
                towards, pull, flow * gain, keys, q, k, n, first + j, q2, k2, N, M, D, d, DIRECT, R, C
            )
    for step in tl.range(0, skipped + end - full, C, num_stages=1):
        first = tl.where(step < skipped, low + step, full + step - skipped)
        m = first + j
        squares, inverse = _parted(tl.load(k_norms + m, mask=m < M, other=0))
        keys, values = _rows(k, first, j, d, k2, M, D, False, False), _rows(v, first, j, e, v2, M, E, False, False)
        scaled, _least = _careful(
            queries, keys, factor, offset, squares, q, k, n, m, q2, k2, N, M, D, DIRECT, NEAR, R, C
        )
        seen = (m[None, :] < M) & ((n[:, None] >= m[None, :]) if CAUSAL else True)
        gain = dot(grad, tl.trans(values), "ieee") - own[:, None]
        scaled, x, length, p, gain, flow = _weighed(
            scaled, inverse[None, :], gain, seen, rate, log_total[:, None], DIRECT, True
        )
        sums = _moments(sums, scaled, x, length, p, gain, flow, R, C)
        towards, pull = _pulled(towards, pull, flow * gain, keys, q, k, n, m, q2, k2, N, M, D, d, DIRECT, R, C)
    surplus, far, steepness, bent = tl.sum(sums[0], 1), tl.sum(sums[1], 1), tl.sum(sums[2], 1), tl.sum(sums[3], 1)
    mean_far, mean_steepness, mean_bent = tl.sum(sums[4], 1), tl.sum(sums[5], 1), tl.sum(sums[6], 1)
    f = queries.to(tl.float32)
    grad_q = -2 * rate * factor[:, None] * (f * (tl.sum(pull, 1) / 16 + steepness / 2)[:, None] - towards)
    tl.store(dq + (row * N + n[:, None]) * D + d[None, :], grad_q, mask=(n[:, None] < N) & (d[None, :] < D))
    distance = (far - surplus * mean_far) * 0.6931471805599453 / tl.sqrt(c)
    tl.store(by_beta + row * N + n, -distance, mask=n < N)
    # A score's derivative by c, short of the part in 1 / sqrt c: dx/dc = x (1 / a + 1 / b - 1) / c.
    bend = (factor / (2 * c) - 1) * (steepness - surplus * mean_steepness) + bent - surplus * mean_bent
    tl.store(by_curvature + row * N + n, distance * tl.load(beta) / (2 * c) - rate / c * bend, mask=n < N)
    tl.store(closing + row * N + n, _pair(log_total, own + surplus), mask=n < N)


@triton.jit
@no_type_check
def _span_of_queries(spans, row, start, end, N, SPAN: tl.constexpr):
    """First query and the one past the last, in whole parts, whose span of near keys meets [start, end)."""
    parts = tl.cdiv(N, SPAN)
    low, high = N, 0
    for first in range(0, parts, 64):
        part = first + tl.arange(0, 64)
        at = spans + (row * parts + part) * 2
        met = (tl.load(at, mask=part < parts, other=0) < end) & (tl.load(at + 1, mask=part < parts, other=0) > start)
        low = min(low, tl.min(tl.where(met, part * SPAN, N)))
        high = max(high, tl.max(tl.where(met, (part + 1) * SPAN, 0)))
    return low, high


@triton.jit
@no_type_check
def backward_kv(
    q, k, v, g, beta, curvature, q_norms, k_norms, closing, spans, dk, dv,
    q0, q1, q2, k0, k1, k2, v0, v1, v2, H, N, M, D, E,
    CAUSAL: tl.constexpr, DIRECT: tl.constexpr, NEAR: tl.constexpr, SPAN: tl.constexpr, WHOLE: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """One tile of keys: all tiles are (key, query), so that none is transposed on chip."""
    row, start = tl.program_id(1).to(tl.int64), tl.program_id(0) * R
    q += row // H * q0 + row % H * q1
    k += row // H * k0 + row % H * k1
    v += row // H * v0 + row % H * v1
    g += row * N * E
    q_norms += row * N
    closing += row * N
    c = tl.load(curvature)
    rate = tl.load(beta) / tl.sqrt(c)
    i, j, d, e = tl.arange(0, R), tl.arange(0, C), tl.arange(0, BD), tl.arange(0, BE)
    m = start + i
    keys, values = _rows(k, start, i, d, k2, M, D, False, False), _rows(v, start, i, e, v2, M, E, False, False)
    factor, offset = _own(tl.load(k_norms + row * M + m, mask=m < M, other=0), c)
    towards, pull = tl.zeros((R, BD), tl.float32), tl.zeros((R, 4), tl.float32)
    grad_v, steepness = tl.zeros((R, BE), tl.float32), tl.zeros((R, 4), tl.float32)
    # Queries: those on the diagonal, [diagonal, full); those seen by all keys and all there, [full, tail); the rest.
    diagonal = start // C * C if CAUSAL else 0
    full = tl.cdiv(N, C) * C if DIRECT else (tl.cdiv(start + R, C) * C if CAUSAL else 0)
    tail = max(N // C * C, full)
    low, high = _span_of_queries(spans, row, start, start + R, N, SPAN)
    low = min(max(low // C * C, full), tail)
    skipped = max(min(tl.cdiv(high, C) * C, tail) - low, 0)
    if not DIRECT:
        for step in range(full, tail - skipped, C):
            first = tl.where(step < low, step, step + skipped)
            squares, inverse = _parted(tl.load(q_norms + first + j))
            log_total, own = _parted(tl.load(closing + first + j))
            queries, grad = _rows(q, first, j, d, q2, N, D, True, WHOLE), _rows(g, first, j, e, E, N, E, True, WHOLE)
            scaled = _expanded(keys, queries, factor, offset, squares)
            gain = dot(values, tl.trans(grad), "ieee") - own[None, :]
            scaled, _x, _distance, p, gain, flow = _weighed(
                scaled, inverse[None, :], gain, True, rate, log_total[None, :], DIRECT, False
            )
            grad_v += dot(_factor_of(p, grad), grad, "ieee")
            steepness += _row_sums(flow * gain * scaled, R, C)
            towards, pull = _pulled(
                towards, pull, flow * gain, queries, k, q, m, first + j, k2, q2, M, N, D, d, DIRECT, R, C
            )
    for step in tl.range(diagonal, full + skipped + max(N - tail, 0), C, num_stages=1):
        first = tl.where(step < full + skipped, step - full + low, step - full - skipped + tail)
        first = tl.where(step < full, step, first)
        n = first + j
        squares, inverse = _parted(tl.load(q_norms + n, mask=n < N, other=0))
        log_total, own = _parted(tl.load(closing + n, mask=n < N, other=0))
        queries, grad = _rows(q, first, j, d, q2, N, D, False, False), _rows(g, first, j, e, E, N, E, False, False)
        scaled, _least = _careful(
            keys, queries, factor, offset, squares, k, q, m, n, k2, q2, M, N, D, DIRECT, NEAR, R, C
        )
        seen = (n[None, :] < N) & ((n[None, :] >= m[:, None]) if CAUSAL else True)
        gain = dot(values, tl.trans(grad), "ieee") - own[None, :]
        scaled, _x, _distance, p, gain, flow = _weighed(
            scaled, inverse[None, :], gain, seen, rate, log_total[None, :], DIRECT, True
        )
        grad_v += dot(_factor_of(p, grad), grad, "ieee")
        steepness += _row_sums(flow * gain * scaled, R, C)
        towards, pull = _pulled(towards, pull, flow * gain, queries, k, q, m, n, k2, q2, M, N, D, d, DIRECT, R, C)
    f = keys.to(tl.float32)
    grad_k = -2 * rate * factor[:, None] * (f * (tl.sum(pull, 1) / 16 + tl.sum(steepness, 1) / 2)[:, None] - towards)
    inside = m[:, None] < M
    tl.store(dk + (row * M + m[:, None]) * D + d[None, :], grad_k, mask=inside & (d[None, :] < D))
    tl.store(dv + (row * M + m[:, None]) * E + e[None, :], grad_v, mask=inside & (e[None, :] < E))
