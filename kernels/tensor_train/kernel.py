"""The tensor-train table in Triton: rows looked up in one pass, their gradients, and logits through the cores."""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import triton
import triton.language as tl

from kernels.triton import INTERPRETED, dot, follow, rounded


@triton.jit
@no_type_check
def _as(x, other):
    """Return float32 numbers x in the type that the pointer `other` points to, rounded to nearest."""
    if other.dtype.element_ty == tl.bfloat16:
        return rounded(x)
    else:  # noqa: RET505  (Triton compiles one branch)
        return x.to(other.dtype.element_ty)


@triton.jit
@no_type_check
def _cosines(phase, rho, r, other):
    """cos(phase). Where `other` is of half precision, the special-function unit's, off by 1e-6 at most."""
    angle = tl.load(phase + rho, mask=rho < r, other=0.0).to(tl.float32)
    if INTERPRETED or other.dtype.element_ty == tl.float32:
        return tl.cos(angle)
    else:  # noqa: RET505  (Triton compiles one branch)
        turns = angle * 0.15915494309189535
        angle = (turns - tl.floor(turns + 0.5)) * 6.283185307179586
        return tl.inline_asm_elementwise(
            "cos.approx.ftz.f32 $0, $1;", "=f,f", [angle], tl.float32, is_pure=True, pack=1
        )


@triton.jit
@no_type_check
def look_up(
    index, core1, core2, phase, out, v1, v2, r, d1, d2, width,
    P: tl.constexpr, Q: tl.constexpr, R: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """One token: out[p, q] = sum_rho cos(phase_rho) C1[i1, rho, p] C2[i2, rho, q]. NaN outside the table."""
    follow(FOLLOWS)
    token = tl.program_id(0).to(tl.int64)
    t = tl.load(index + token).to(tl.int64)
    known = (t >= 0) & (t < v1 * v2)
    core1 += tl.where(known, t // v2, 0) * r * d1
    core2 += tl.where(known, t % v2, 0) * r * d2
    p, q, rho = tl.program_id(1) * P + tl.arange(0, P), tl.arange(0, Q), tl.arange(0, R)
    x = tl.load(core1 + rho[None, :] * d1 + p[:, None], mask=(rho[None, :] < r) & (p[:, None] < d1), other=0.0)
    x = _as(x.to(tl.float32) * _cosines(phase, rho, r, core1)[None, :], core1)
    y = tl.load(core2 + rho[:, None] * d2 + q[None, :], mask=(rho[:, None] < r) & (q[None, :] < d2), other=0.0)
    e = tl.where(known, dot(x, y, "ieee"), float("nan"))
    column = p[:, None] * d2 + q[None, :]
    tl.store(out + token * width + column, e, mask=(q[None, :] < d2) & (column < width))


@triton.jit
@no_type_check
def sort(
    index, order, counts, sums, tokens, slots, size, v1, v2,
    CHUNK: tl.constexpr, SLOT: tl.constexpr, V1: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """Give each token of a chunk a place among those of its i1; the programs after the chunks fill `sums` with zeros.

    Each i1 begins a slot. Empty places hold -1, and a token outside the table has none.
    """
    follow(FOLLOWS)
    lane = tl.arange(0, CHUNK)
    begin = tl.program_id(0) * CHUNK
    if begin >= tokens:
        at = begin - tl.cdiv(tokens, CHUNK) * CHUNK + lane
        tl.store(sums + at, tl.zeros((CHUNK,), tl.float32), mask=at < size)
    else:
        t = tl.load(index + begin + lane, mask=begin + lane < tokens, other=-1).to(tl.int64)
        known = (t >= 0) & (t < v1 * v2)
        t = tl.where(known, t, 0).to(tl.int32)
        i1, owner = t // v2, tl.arange(0, V1)
        counts += tl.program_id(0) * v1
        first = tl.program_id(0) * (CHUNK // SLOT + v1) * SLOT
        tl.store(counts + owner, tl.zeros((V1,), tl.int32), mask=owner < v1)
        last = first + (tl.minimum(CHUNK, tokens - begin) // SLOT + v1) * SLOT
        for place in range(first, last, CHUNK):
            tl.store(order + place + lane, tl.full((CHUNK,), -1, tl.int32), mask=place + lane < last)
        tl.debug_barrier()  # what this program has written is there for all of it
        rank = tl.atomic_add(counts + i1, 1, mask=known, sem="relaxed")
        tl.debug_barrier()
        filled = tl.cdiv(tl.load(counts + owner, mask=owner < v1, other=0, cache_modifier=".cg"), SLOT)
        place = first + tl.gather(tl.cumsum(filled, 0) - filled, i1, 0) * SLOT + rank
        tl.store(order + place, begin + lane, mask=known)
        tl.store(order + slots * SLOT + place, t, mask=known)


@triton.jit
@no_type_check
def look_up_backward(
    g, order, core1, core2, phase, sums, slots, v1, v2, r, d1, d2, width,
    P: tl.constexpr, Q: tl.constexpr, R: tl.constexpr, SLOT: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """The tokens of a slot, all of one i1: each adds cos C1[i1] g to dC2[i2], all at once their g C2[i2] to dC1[i1]."""
    follow(FOLLOWS)
    lane = tl.arange(0, SLOT)
    order += tl.program_id(0) * SLOT + lane
    tokens, ids = tl.load(order), tl.load(order + slots * SLOT)
    several = tl.sum((tokens >= 0).to(tl.int32), 0)
    i1 = tl.sum(tl.where((lane == 0) & (tokens >= 0), ids, 0), 0) // v2
    first = i1.to(tl.int64) * r * d1
    p, q, rho = tl.program_id(1) * P + tl.arange(0, P), tl.arange(0, Q), tl.arange(0, R)
    column = p[:, None] * d2 + q[None, :]
    at_p, in_p = rho[:, None] * d1 + p[None, :], (rho[:, None] < r) & (p[None, :] < d1)
    at_q, in_q = rho[:, None] * d2 + q[None, :], (rho[:, None] < r) & (q[None, :] < d2)
    x = tl.load(core1 + first + at_p, mask=in_p, other=0.0).to(tl.float32)
    x = _as(x * _cosines(phase, rho, r, core1)[:, None], core1)
    # Less the sum: added to it, Triton would let a token's additions go on from the last one's, which rounds more.
    dx = tl.zeros((R, P), tl.float32)
    dcore2 = sums + v1.to(tl.int64) * r * d1
    for i in range(several):
        token = tl.sum(tl.where(lane == i, tokens, 0), 0).to(tl.int64)
        second = (tl.sum(tl.where(lane == i, ids, 0), 0) - i1 * v2).to(tl.int64) * r * d2
        g_pq = tl.load(g + token * width + column, mask=(q[None, :] < d2) & (column < width), other=0.0)
        y = tl.load(core2 + second + at_q, mask=in_q, other=0.0)
        dx -= dot(y, tl.trans(g_pq), "ieee")  # of a loaded tile, never of an accumulator
        tl.atomic_add(dcore2 + second + at_q, dot(x, g_pq, "ieee"), mask=in_q, sem="relaxed")
    tl.atomic_add(sums + first + at_p, -dx, mask=in_p & (several > 0), sem="relaxed")


@triton.jit
@no_type_check
def finish(
    sums, core1, phase, dcore1, dcore2, dphase, v1, size2, r, d1,
    ROWS: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr, FOLLOWS: tl.constexpr,
):  # fmt: skip
    """Round dC2. What is added up for C1 is the gradient s of cos C1: dC1 = cos s, and dphase = -sin times sum C1 s."""
    follow(FOLLOWS)
    rho = tl.program_id(0)
    if rho < r:
        angle = tl.load(phase + rho).to(tl.float32)
        p = tl.arange(0, P)[None, :]
        total = tl.zeros((ROWS, P), tl.float32)
        for first in range(0, v1, ROWS):
            i1 = first + tl.arange(0, ROWS)[:, None]
            at, inside = (i1 * r + rho) * d1 + p, (i1 < v1) & (p < d1)
            s = tl.load(sums + at, mask=inside, other=0.0)
            total += s * tl.load(core1 + at, mask=inside, other=0.0).to(tl.float32)
            tl.store(dcore1 + at, s * tl.cos(angle), mask=inside)
        tl.store(dphase + rho, -tl.sin(angle) * tl.sum(total))
    else:
        at = (rho - r) * WHOLE + tl.arange(0, WHOLE)
        tl.store(dcore2 + at, tl.load(sums + v1 * r * d1 + at, mask=at < size2), mask=at < size2)


@triton.jit
@no_type_check
def logits(
    hidden, core1, core2, out, stride, v1, v2, r, d1, d2, width,
    M: tl.constexpr, N: tl.constexpr, P: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """One token and a tile of its logits: the sum over rho of (C1 h) C2^T, with h of shape (d1, d2)."""
    blocks = tl.cdiv(v1, M)
    token = (tl.program_id(0) // blocks).to(tl.int64)
    i1 = (tl.program_id(0) % blocks * M + tl.arange(0, M))[:, None]
    i2 = tl.program_id(1) * N + tl.arange(0, N)
    p, q = tl.arange(0, P), tl.arange(0, Q)[None, :]
    column = p[:, None] * d2 + q
    h = tl.load(hidden + token * width + column, mask=(q < d2) & (column < width), other=0.0)
    core1 += i1 * r * d1 + p[None, :]
    core2 += i2[:, None] * r * d2 + q
    tl.assume(r > 0)  # or the way around the loop keeps ptxas from overlapping the products in it
    total = tl.zeros((M, N), tl.float32)
    for rho in range(r):
        c1 = tl.load(core1 + rho * d1, mask=(i1 < v1) & (p[None, :] < d1), other=0.0)
        c2 = tl.load(core2 + rho * d2, mask=(i2[:, None] < v2) & (q < d2), other=0.0)
        total += dot(_as(dot(c1, h, "ieee"), hidden), tl.trans(c2), "ieee")
    to = out + token * stride + i1 * v2 + i2[None, :]
    tl.store(to, _as(total, out), mask=(i1 < v1) & (i2[None, :] < v2))


@triton.jit
@no_type_check
def logits_hidden_backward(
    g, core1, core2, dhidden, g_t, g_1, v1, v2, r, d1, d2, width,
    M: tl.constexpr, N: tl.constexpr, P: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """One token: dh = sum_rho C1^T (g C2), with g of shape (v1, g_1), zero from column v2 on."""
    token = tl.program_id(0).to(tl.int64)
    g += token * g_t
    p, q = tl.arange(0, P), tl.arange(0, Q)[None, :]
    blocks = tl.cdiv(v2, N)
    tl.assume(r > 0)
    total = tl.zeros((P, Q), tl.float32)
    for block in range(tl.cdiv(v1, M) * blocks):
        i1 = (block // blocks * M + tl.arange(0, M))[:, None]
        i2 = block % blocks * N + tl.arange(0, N)
        g_12 = tl.load(g + i1 * g_1 + i2[None, :], mask=(i1 < v1) & (i2[None, :] < g_1), other=0.0)
        for rho in range(r):
            c1 = tl.load(core1 + (i1 * r + rho) * d1 + p[None, :], mask=(i1 < v1) & (p[None, :] < d1), other=0.0)
            c2 = tl.load(core2 + (i2[:, None] * r + rho) * d2 + q, mask=(i2[:, None] < v2) & (q < d2), other=0.0)
            total += dot(tl.trans(c1), _as(dot(g_12, c2, "ieee"), g), "ieee")
    column = p[:, None] * d2 + q
    tl.store(dhidden + token * width + column, _as(total, dhidden), mask=(q < d2) & (column < width))


@triton.jit
@no_type_check
def logits_core_backward(
    g, hidden, core, sums, tokens, each, g_t, g_m, g_k, n_m, n_k, v_m, v_k, r, h_a, h_b, d_a, d_b, width,
    M: tl.constexpr, K: tl.constexpr, A: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """Two rho and some tokens: add g^T (C h) to the gradient of a core, where C is the other core.

    m counts rows of the core, k those of the other; a is the index that h and C share, b that of the core. g has n_m
    and n_k of them, zero from v_m and v_k on.
    """
    rho = tl.program_id(0) * 2
    m = tl.program_id(1) * M + tl.arange(0, M)
    first = tl.program_id(2) * each
    a, b = tl.arange(0, A), tl.arange(0, B)[None, :]
    column = a[:, None] * h_a + b * h_b
    blocks = tl.cdiv(v_k, K)
    total_0, total_1 = tl.zeros((M, B), tl.float32), tl.zeros((M, B), tl.float32)
    for step in range(first * blocks, tl.minimum(first + each, tokens) * blocks):
        token = (step // blocks).to(tl.int64)
        k = (step % blocks * K + tl.arange(0, K))[:, None]
        h = tl.load(hidden + token * width + column, mask=(a[:, None] < d_a) & (b < d_b) & (column < width), other=0.0)
        other = core + (k * r + rho) * d_a + a[None, :]
        in_k = (k < v_k) & (a[None, :] < d_a)
        x_0 = _as(dot(tl.load(other, mask=in_k, other=0.0), h, "ieee"), hidden)
        x_1 = _as(dot(tl.load(other + d_a, mask=in_k & (rho + 1 < r), other=0.0), h, "ieee"), hidden)
        at = g + token * g_t + k * g_k + m[None, :] * g_m
        g_mk = tl.trans(tl.load(at, mask=(k < n_k) & (m[None, :] < n_m), other=0.0))
        total_0 += dot(g_mk, x_0, "ieee")
        total_1 += dot(g_mk, x_1, "ieee")
    # A part is this program's alone: what earlier chunks of tokens left there needs no registers to be added to.
    sums += tl.program_id(2).to(tl.int64) * v_m * r * d_b + (m[:, None] * r + rho) * d_b + b
    in_m = (m[:, None] < v_m) & (b < d_b)
    tl.atomic_add(sums, total_0, mask=in_m, sem="relaxed")
    tl.atomic_add(sums + d_b, total_1, mask=in_m & (rho + 1 < r), sem="relaxed")
