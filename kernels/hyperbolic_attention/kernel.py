"""Flash attention whose score is a hyperbolic distance: nothing of size N x M leaves the chip.

With x = c |q - k|^2 / (a b), a = 1 - c |q|^2 and b = 1 - c |k|^2, the score is -beta d = -(2 beta / sqrt c) A,
A = arsinh sqrt x, and e^(2A) = 1 + 2x + 2 sqrt(x (1 + x)): one root and one logarithm.
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl

NEAR = tl.constexpr(2.0**-8)
"""Where |q - k|^2 is a smaller part of |q|^2 + |k|^2, it is summed from differences."""

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
def _rows(x, n, d, stride, N, D):
    """Rows n of x, zero outside."""
    inside = (n[:, None] < N) & (d[None, :] < D)
    return tl.load(x + n[:, None].to(tl.int64) * stride + d[None, :], mask=inside, other=0.0)


@triton.jit
@no_type_check
def _columns(x, n, d, stride, N, D):
    """The same as a tile (d, n)."""
    inside = (n[None, :] < N) & (d[:, None] < D)
    return tl.load(x + n[None, :].to(tl.int64) * stride + d[:, None], mask=inside, other=0.0)


@triton.jit
@no_type_check
def squares(x, curvature, squares, x0, x1, x2, H, N, D, BLOCK: tl.constexpr, BD: tl.constexpr):
    """|x|^2 of every row; NaN on the ball's boundary and outside."""
    row, n = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    tile = _rows(x + row // H * x0 + row % H * x1, n, tl.arange(0, BD), x2, N, D).to(tl.float32)
    square = tl.sum(tile * tile, 1)
    inside = tl.load(curvature) * square < 1
    tl.store(squares + row * N + n, tl.where(inside, square, float("nan")), mask=n < N)


@triton.jit
@no_type_check
def _apart(
    rows, columns, row_squares, column_squares, x, y, n, m, x2, y2, N, M, D,
    DIRECT: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """|x_n - y_m|^2, to a relative error of 2^-14 at worst; for float32 to its rounding.

    |x|^2 + |y|^2 - 2 x.y errs by about 2^-22 (|x|^2 + |y|^2). A tile in which that is too much of any result is
    summed from differences instead; such tiles are rare. So is every tile of float32, whose products by the tensor
    cores would not be exact.
    """
    scale = row_squares[:, None] + column_squares[None, :]
    valid = (n[:, None] < N) & (m[None, :] < M)
    if DIRECT:
        square, near = scale, True
    else:
        square = scale - 2 * _dot(rows, columns, HALF, PRECISION)
        near = tl.max((valid & (square < scale * NEAR)).to(tl.int32)) > 0
    if near:
        # Zero, but NaN where a point is not in the ball.
        square = tl.where(scale >= 0, 0.0, float("nan"))
        for d in range(D):
            apart = _apart_in(x, y, n, m, x2, y2, N, M, d)
            square += apart * apart
    return square


@triton.jit
@no_type_check
def _apart_in(x, y, n, m, x2, y2, N, M, d):
    """Coordinate d of x_n - y_m."""
    left = tl.load(x + n.to(tl.int64) * x2 + d, mask=n < N, other=0.0).to(tl.float32)
    right = tl.load(y + m.to(tl.int64) * y2 + d, mask=m < M, other=0.0).to(tl.float32)
    return left[:, None] - right[None, :]


@triton.jit
@no_type_check
def _pulled(
    towards, pull, w, columns_as_rows, x, y, n, m, x2, y2, N, M, D, dims,
    DIRECT: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add sum_m w_nm y_m and sum_m w_nm; in float32 sum_m w_nm (y_m - x_n), and nothing.

    x sum w - sum w y is rounded w throughout: what ought to cancel does.
    """
    if DIRECT:
        for d in range(D):
            part = tl.sum(w * _apart_in(x, y, n, m, x2, y2, N, M, d), 1)
            towards -= tl.where(dims[None, :] == d, part[:, None], 0.0)
    else:
        if PRECISION == "tf32":
            w = (w.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
        else:
            w = _rounded(w).to(tl.float32)
        towards += _dot(w, columns_as_rows, HALF, PRECISION)
        pull += tl.sum(w, 1)
    return towards, pull


@triton.jit
@no_type_check
def _halves(x):
    """log2 of e^(2 arsinh sqrt x): the distance in units of ln 2 / sqrt c."""
    return tl.log2(1 + 2 * x + 2 * tl.sqrt(x * (1 + x)))


@triton.jit
@no_type_check
def forward(
    q, k, v, beta, curvature, qq, kk, out, total,
    q0, q1, q2, k0, k1, k2, v0, v1, v2, H, N, M, D, E,
    CAUSAL: tl.constexpr, DIRECT: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr,
    BN: tl.constexpr, BM: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """One tile of queries: the output, and log2 of the sum of weights."""
    row = tl.program_id(1).to(tl.int64)
    start = (tl.num_programs(0) - 1 - tl.program_id(0)) * BN  # under a mask the last tiles are the longest
    q += row // H * q0 + row % H * q1
    k += row // H * k0 + row % H * k1
    v += row // H * v0 + row % H * v1
    c = tl.load(curvature)
    rate = tl.load(beta) / tl.sqrt(c)
    n, d, e = start + tl.arange(0, BN), tl.arange(0, BD), tl.arange(0, BE)
    queries = _rows(q, n, d, q2, N, D)
    q_squares = tl.load(qq + row * N + n, mask=n < N, other=0.0)
    inverse = c / (1 - c * q_squares)
    top = tl.full((BN,), -float("inf"), tl.float32)
    weight = tl.zeros((BN,), tl.float32)
    mean = tl.zeros((BN, BE), tl.float32)
    for first in range(0, min(M, start + BN) if CAUSAL else M, BM):
        m = first + tl.arange(0, BM)
        k_squares = tl.load(kk + row * M + m, mask=m < M, other=0.0)
        keys = _columns(k, m, d, k2, M, D)
        x = _apart(queries, keys, q_squares, k_squares, q, k, n, m, q2, k2, N, M, D, DIRECT, HALF, PRECISION)
        score = -rate * _halves(x * inverse[:, None] * (1 / (1 - c * k_squares))[None, :])
        seen = (m[None, :] < M) & ((n[:, None] >= m[None, :]) if CAUSAL else True)
        score = tl.where(seen, score, -float("inf"))
        higher = tl.maximum(top, tl.max(score, 1))
        share = tl.exp2(score - higher[:, None])
        kept = tl.exp2(top - higher)
        weight = weight * kept + tl.sum(share, 1)
        mean = mean * kept[:, None] + _dot(share, _rows(v, m, e, v2, M, E), HALF, PRECISION)
        top = higher
    tl.store(total + row * N + n, top + tl.log2(weight), mask=n < N)
    to = (row * N + n[:, None]) * E + e[None, :]
    tl.store(out + to, mean / weight[:, None], mask=(n[:, None] < N) & (e[None, :] < E))


@triton.jit
@no_type_check
def _slope(x, rate):
    """Derivative of a score by x; at x = 0, where the distance has a kink, zero."""
    return tl.where(x > 0, -rate / tl.where(x > 0, tl.sqrt(x * (1 + x)), 1.0), 0.0)


@triton.jit
@no_type_check
def backward_q(
    q, k, v, g, beta, curvature, qq, kk, total, delta, dq, by_beta, by_curvature,
    q0, q1, q2, k0, k1, k2, v0, v1, v2, H, N, M, D, E,
    CAUSAL: tl.constexpr, DIRECT: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr,
    BN: tl.constexpr, BM: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """One tile of queries: their gradient, and what they add to those of beta and the curvature.

    Score gradients of a row add up to zero, but for a surplus that delta, from a rounded output, leaves. Sums over
    them are taken of differences from the row's mean, and `delta` is corrected for the pass over keys.
    """
    row, start = tl.program_id(1).to(tl.int64), tl.program_id(0) * BN
    q += row // H * q0 + row % H * q1
    k += row // H * k0 + row % H * k1
    v += row // H * v0 + row % H * v1
    c = tl.load(curvature)
    rate = tl.load(beta) / tl.sqrt(c)
    n, d, e = start + tl.arange(0, BN), tl.arange(0, BD), tl.arange(0, BE)
    queries, grad = _rows(q, n, d, q2, N, D), _rows(g + row * N * E, n, e, E, N, E)
    q_squares = tl.load(qq + row * N + n, mask=n < N, other=0.0)
    inverse = c / (1 - c * q_squares)
    log_total = tl.load(total + row * N + n, mask=n < N, other=float("inf"))
    own = tl.load(delta + row * N + n, mask=n < N, other=0.0)
    towards = tl.zeros((BN, BD), tl.float32)
    pull, steepness = tl.zeros((BN,), tl.float32), tl.zeros((BN,), tl.float32)
    surplus, far, mean_far = tl.zeros((BN,), tl.float32), tl.zeros((BN,), tl.float32), tl.zeros((BN,), tl.float32)
    bent, mean_bent = tl.zeros((BN,), tl.float32), tl.zeros((BN,), tl.float32)
    for first in range(0, min(M, start + BN) if CAUSAL else M, BM):
        m = first + tl.arange(0, BM)
        k_squares = tl.load(kk + row * M + m, mask=m < M, other=0.0)
        k_inverse = 1 / (1 - c * k_squares)
        columns = _columns(k, m, d, k2, M, D)
        x = _apart(queries, columns, q_squares, k_squares, q, k, n, m, q2, k2, N, M, D, DIRECT, HALF, PRECISION)
        x *= inverse[:, None] * k_inverse[None, :]
        halves = _halves(x)
        seen = (m[None, :] < M) & ((n[:, None] >= m[None, :]) if CAUSAL else True)
        p = tl.where(seen, tl.exp2(-rate * halves - log_total[:, None]), 0.0)
        d_score = p * (_dot(grad, _columns(v, m, e, v2, M, E), HALF, PRECISION) - own[:, None])
        slope = _slope(x, rate)
        again = _rows(k, m, d, k2, M, D)
        weight = d_score * slope * k_inverse[None, :]
        towards, pull = _pulled(towards, pull, weight, again, q, k, n, m, q2, k2, N, M, D, d, DIRECT, HALF, PRECISION)
        steep = slope * x
        steepness += tl.sum(d_score * steep, 1)
        surplus += tl.sum(d_score, 1)
        far += tl.sum(d_score * halves, 1)
        mean_far += tl.sum(p * halves, 1)
        # A score's derivative by c, short of the part in 1 / sqrt c: dx/dc = x (1 / (c a) + |k|^2 / b).
        bend = steep * ((inverse / (c * c))[:, None] + (k_squares * k_inverse)[None, :])
        bent += tl.sum(d_score * bend, 1)
        mean_bent += tl.sum(p * bend, 1)
    f = queries.to(tl.float32)
    grad_q = 2 * inverse[:, None] * (f * (pull + steepness)[:, None] - towards)
    tl.store(dq + (row * N + n[:, None]) * D + d[None, :], grad_q, mask=(n[:, None] < N) & (d[None, :] < D))
    distance = (far - surplus * mean_far) * 0.6931471805599453 / tl.sqrt(c)
    tl.store(by_beta + row * N + n, -distance, mask=n < N)
    by_c = distance * tl.load(beta) / (2 * c) + bent - surplus * mean_bent
    tl.store(by_curvature + row * N + n, by_c, mask=n < N)
    tl.store(delta + row * N + n, own + surplus, mask=n < N)


@triton.jit
@no_type_check
def backward_kv(
    q, k, v, g, beta, curvature, qq, kk, total, delta, dk, dv,
    q0, q1, q2, k0, k1, k2, v0, v1, v2, H, N, M, D, E,
    CAUSAL: tl.constexpr, DIRECT: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr,
    BN: tl.constexpr, BM: tl.constexpr, BD: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """One tile of keys: all tiles are (key, query), so that none is transposed on chip."""
    row, start = tl.program_id(1).to(tl.int64), tl.program_id(0) * BM
    q += row // H * q0 + row % H * q1
    k += row // H * k0 + row % H * k1
    v += row // H * v0 + row % H * v1
    g += row * N * E
    c = tl.load(curvature)
    rate = tl.load(beta) / tl.sqrt(c)
    m, d, e = start + tl.arange(0, BM), tl.arange(0, BD), tl.arange(0, BE)
    keys, values = _rows(k, m, d, k2, M, D), _rows(v, m, e, v2, M, E)
    k_squares = tl.load(kk + row * M + m, mask=m < M, other=0.0)
    inverse = c / (1 - c * k_squares)
    towards, grad_v = tl.zeros((BM, BD), tl.float32), tl.zeros((BM, BE), tl.float32)
    pull, steepness = tl.zeros((BM,), tl.float32), tl.zeros((BM,), tl.float32)
    for first in range(start // BN * BN if CAUSAL else 0, N, BN):
        n = first + tl.arange(0, BN)
        q_squares = tl.load(qq + row * N + n, mask=n < N, other=0.0)
        q_inverse = 1 / (1 - c * q_squares)
        columns = _columns(q, n, d, q2, N, D)
        x = _apart(keys, columns, k_squares, q_squares, k, q, m, n, k2, q2, M, N, D, DIRECT, HALF, PRECISION)
        x *= inverse[:, None] * q_inverse[None, :]
        log_total = tl.load(total + row * N + n, mask=n < N, other=0.0)
        seen = (n[None, :] < N) & (m[:, None] < M) & ((n[None, :] >= m[:, None]) if CAUSAL else True)
        p = tl.where(seen, tl.exp2(-rate * _halves(x) - log_total[None, :]), 0.0)
        grad_v += _dot(p, _rows(g, n, e, E, N, E), HALF, PRECISION)
        own = tl.load(delta + row * N + n, mask=n < N, other=0.0)
        d_score = p * (_dot(values, _columns(g, n, e, E, N, E), HALF, PRECISION) - own[None, :])
        slope = _slope(x, rate)
        again = _rows(q, n, d, q2, N, D)
        weight = d_score * slope * q_inverse[None, :]
        towards, pull = _pulled(towards, pull, weight, again, k, q, m, n, k2, q2, M, N, D, d, DIRECT, HALF, PRECISION)
        steepness += tl.sum(d_score * slope * x, 1)
    f = keys.to(tl.float32)
    grad_k = 2 * inverse[:, None] * (f * (pull + steepness)[:, None] - towards)
    inside = m[:, None] < M
    tl.store(dk + (row * M + m[:, None]) * D + d[None, :], grad_k, mask=inside & (d[None, :] < D))
    tl.store(dv + (row * M + m[:, None]) * E + e[None, :], grad_v, mask=inside & (e[None, :] < E))
