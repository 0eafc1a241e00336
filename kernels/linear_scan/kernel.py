"""The linear recurrence in Triton: each program walks one row once, block by block, with a carry.

In a block, `tl.associative_scan` composes the affine maps h -> a h + b; the carry enters afterwards, so that a block's
loads and its scan do not wait for the block before. Lanes past the end hold the identity, a = 1 and b = 0.
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton import load_run, power_of_2, store_run, times

BLOCK = 2048
"""Time steps a program holds at once, at most."""
ELEMENTS_PER_THREAD = 8
"""Sets the number of warps of a block."""


@triton.jit
@no_type_check
def _then(a, b, c, d):
    """First h -> a h + b, then h -> c h + d."""
    return c * a, c * b + d


@triton.jit
@no_type_check
def _complex_then(ar, ai, br, bi, cr, ci, dr, di):
    """`_then` for complex maps."""
    slope_r, slope_i = times(cr, ci, ar, ai)
    b_r, b_i = times(cr, ci, br, bi)
    return slope_r, slope_i, b_r + dr, b_i + di


@triton.jit
@no_type_check
def _forward(a, b, initial, h, n, HAS_A: tl.constexpr, REVERSE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    a, b, h = a + row * n, b + row * n, h + row * n
    carry = tl.load(initial + row).to(tl.float32)
    lane = tl.arange(0, BLOCK)
    last = 0 if REVERSE else BLOCK - 1
    blocks = tl.cdiv(n, BLOCK)
    for i in range(blocks):
        t = (blocks - 1 - i if REVERSE else i) * BLOCK + lane
        inside = t < n
        b_t = tl.load(b + t, mask=inside, other=0.0).to(tl.float32)
        if HAS_A:
            a_t = tl.load(a + t, mask=inside, other=1.0).to(tl.float32)
            slope, offset = tl.associative_scan((a_t, b_t), 0, _then, reverse=REVERSE)
            h_t = slope * carry + offset
        else:
            h_t = carry + tl.cumsum(b_t, 0, reverse=REVERSE)
        tl.store(h + t, h_t, mask=inside)
        carry = tl.sum(tl.where(lane == last, h_t, 0.0))


@triton.jit
@no_type_check
def _backward(g, a, h, initial, da, db, dinitial, n, HAS_A: tl.constexpr, REVERSE: tl.constexpr, BLOCK: tl.constexpr):
    """Scan s_t = g_t + a_(t+1) s_(t+1) against the forward direction; then db_t = s_t and da_t = s_t h_(t-1)."""
    row = tl.program_id(0).to(tl.int64)
    g, a, h, da, db = g + row * n, a + row * n, h + row * n, da + row * n, db + row * n
    lane = tl.arange(0, BLOCK)
    last = BLOCK - 1 if REVERSE else 0
    step = -1 if REVERSE else 1
    carry = 0.0
    blocks = tl.cdiv(n, BLOCK)
    for i in range(blocks):
        t = (i if REVERSE else blocks - 1 - i) * BLOCK + lane
        inside = t < n
        s_t = tl.load(g + t, mask=inside, other=0.0).to(tl.float32)
        if HAS_A:
            later, earlier = t + step, t - step
            has_later = inside & (later >= 0) & (later < n)
            has_earlier = inside & (earlier >= 0) & (earlier < n)
            a_later = tl.load(a + later, mask=has_later, other=1.0).to(tl.float32)
            h_earlier = tl.load(h + earlier, mask=has_earlier, other=0.0).to(tl.float32)
            h_earlier = tl.where(has_earlier, h_earlier, tl.load(initial + row).to(tl.float32))
            slope, offset = tl.associative_scan((a_later, s_t), 0, _then, reverse=not REVERSE)
            s_t = slope * carry + offset
            tl.store(da + t, s_t * h_earlier, mask=inside)
        else:
            s_t = carry + tl.cumsum(s_t, 0, reverse=not REVERSE)
        tl.store(db + t, s_t, mask=inside)
        carry = tl.sum(tl.where(lane == last, s_t, 0.0))
    if HAS_A:
        carry *= tl.load(a + (n - 1 if REVERSE else 0)).to(tl.float32)
    tl.store(dinitial + row, carry)


@triton.jit
@no_type_check
def _complex_forward(a, b, initial, h, n, REVERSE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    a, b, h = a + 2 * row * n, b + 2 * row * n, h + 2 * row * n
    carry_r, carry_i = tl.load(initial + 2 * row), tl.load(initial + 2 * row + 1)
    lane = tl.arange(0, BLOCK)
    last = 0 if REVERSE else BLOCK - 1
    blocks = tl.cdiv(n, BLOCK)
    for i in range(blocks):
        first = (blocks - 1 - i if REVERSE else i) * BLOCK
        a_r, a_i = load_run(a, first, 0, n, 1.0, BLOCK)
        b_r, b_i = load_run(b, first, 0, n, 0.0, BLOCK)
        a_r, a_i, b_r, b_i = tl.associative_scan((a_r, a_i, b_r, b_i), 0, _complex_then, reverse=REVERSE)
        h_r, h_i = times(a_r, a_i, carry_r, carry_i)
        h_r, h_i = h_r + b_r, h_i + b_i
        store_run(h, first, n, h_r, h_i, BLOCK)
        carry_r = tl.sum(tl.where(lane == last, h_r, 0.0))
        carry_i = tl.sum(tl.where(lane == last, h_i, 0.0))


@triton.jit
@no_type_check
def _complex_backward(g, a, h, initial, da, db, dinitial, n, REVERSE: tl.constexpr, BLOCK: tl.constexpr):
    """`_backward` with conjugates: s_t = g_t + conj(a_(t+1)) s_(t+1), db_t = s_t, da_t = s_t conj(h_(t-1))."""
    row = tl.program_id(0).to(tl.int64)
    start = 2 * row * n
    g, a, h, da, db = g + start, a + start, h + start, da + start, db + start
    lane = tl.arange(0, BLOCK)
    last = BLOCK - 1 if REVERSE else 0
    step = -1 if REVERSE else 1
    carry_r, carry_i = 0.0, 0.0
    blocks = tl.cdiv(n, BLOCK)
    for i in range(blocks):
        first = (i if REVERSE else blocks - 1 - i) * BLOCK
        s_r, s_i = load_run(g, first, 0, n, 0.0, BLOCK)
        a_r, a_i = load_run(a, first + step, 0, n - 1 if REVERSE else n, 1.0, BLOCK)
        h_r, h_i = load_run(h, first - step, 0, n if REVERSE else n - 1, 0.0, BLOCK)
        begins = first + lane == (n - 1 if REVERSE else 0)
        h_r = tl.where(begins, tl.load(initial + 2 * row), h_r)
        h_i = tl.where(begins, tl.load(initial + 2 * row + 1), h_i)
        a_r, a_i, s_r, s_i = tl.associative_scan((a_r, -a_i, s_r, s_i), 0, _complex_then, reverse=not REVERSE)
        carried_r, carried_i = times(a_r, a_i, carry_r, carry_i)
        s_r, s_i = carried_r + s_r, carried_i + s_i
        store_run(db, first, n, s_r, s_i, BLOCK)
        store_run(da, first, n, s_r * h_r + s_i * h_i, s_i * h_r - s_r * h_i, BLOCK)
        carry_r = tl.sum(tl.where(lane == last, s_r, 0.0))
        carry_i = tl.sum(tl.where(lane == last, s_i, 0.0))
    end = a + 2 * (n - 1 if REVERSE else 0)
    a_r, a_i = tl.load(end), tl.load(end + 1)
    tl.store(dinitial + 2 * row, a_r * carry_r + a_i * carry_i)
    tl.store(dinitial + 2 * row + 1, a_r * carry_i - a_i * carry_r)


def _launch(n: int) -> dict[str, int]:
    block = min(BLOCK, power_of_2(n))
    return {"BLOCK": block, "num_warps": max(1, block // (32 * ELEMENTS_PER_THREAD))}


def forward(a: Tensor | None, b: Tensor, initial: Tensor, *, reverse: bool) -> Tensor:
    """Return the states; all tensors contiguous, `a` present if complex."""
    n, h, factors = b.shape[-1], torch.empty_like(b), b if a is None else a
    grid = (b.numel() // n,)
    if b.is_complex():
        pairs = [torch.view_as_real(x) for x in (factors, b, initial, h)]
        _complex_forward[grid](*pairs, n, REVERSE=reverse, **_launch(n))
    else:
        _forward[grid](factors, b, initial, h, n, HAS_A=a is not None, REVERSE=reverse, **_launch(n))
    return h


def backward(
    g: Tensor, a: Tensor | None, h: Tensor, initial: Tensor, *, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a (empty where it is absent), b and the initial state."""
    n, db, dinitial = g.shape[-1], torch.empty_like(g), torch.empty_like(initial)
    grid, da, factors = (g.numel() // n,), g.new_empty(0 if a is None else g.shape), g if a is None else a
    if g.is_complex():
        pairs = [torch.view_as_real(x) for x in (g, factors, h, initial, da, db, dinitial)]
        _complex_backward[grid](*pairs, n, REVERSE=reverse, **_launch(n))
    else:
        tensors = (g, factors, h, initial, da, db, dinitial)
        _backward[grid](*tensors, n, HAS_A=a is not None, REVERSE=reverse, **_launch(n))
    return da, db, dinitial
