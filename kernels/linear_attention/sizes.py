"""Into how many segments a sequence is cut, and what is allocated: known without Triton.

All tensors are (B, H, N, D) or (B, H, N, E), and sequences are the B H rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 64
"""Tokens whose inner products are formed at once: the least that a wgmma product has rows."""

UNROLLED = 16
"""The same in float32, whose products are unrolled into multiply-adds: larger ones do not fit in the registers."""

SHORTEST = 256
"""Tokens of the shortest segment."""

MULTIPROCESSORS = 132
"""Those of an H100."""

TOGETHER = (3, 2, 1)
"""Programs that share a multiprocessor: of four warps, the same where they take more registers (the gradients of k and
v, and types other than bfloat16), and of eight warps."""

FEW = 4
"""So many tokens at the most are taken one by one: the state is read, added to and written once."""


class Segments(NamedTuple):
    """A sequence as `parts` segments of `length` tokens, with the sums of all that others need in `slots`."""

    parts: int
    length: int
    slots: int


class Attended(NamedTuple):
    """What a forward pass gives: the output, and in float32 what the way back needs, and the state at the end."""

    out: Tensor
    kept: Tensor
    """(1, B H, N): 1 / w_n. (9, B H, N) in the ball, with exp o = e(|o|) o and log x = l(|x|) x: e / w, 1 / e,
    e'(|o|) / (c |o| e^3), and l and |x|^2 of q, of k and of v."""
    starts: Tensor
    """(B H, chunks, D): the sum of phi(k) before each chunk if causal, else that over all tokens."""
    states: Tensor
    """(B H, slots, D, E): each segment's sum of phi(k) v^T."""
    last: Tensor
    """(B H, D, E): the sum of phi(k) v^T over all tokens."""
    last_side: Tensor
    """(B H, D): the sum of phi(k) over all tokens."""


class Gradients(NamedTuple):
    """What a way back gives, and in float32 what it holds meanwhile."""

    q: Tensor
    k: Tensor
    v: Tensor
    shares: Tensor
    """In the ball, what the curvature gets of each program: first of those that make q's gradient."""
    made: Tensor
    """(1, B H, N): gamma_n. (2, B H, N) in the ball, where exp's gradient is e (g + a_n out): a_n, too."""
    states: Tensor
    """(B H, slots, D, E): each segment's sum of phi(q) g^T / w."""
    sides: Tensor
    """(B H, slots, D): each segment's sum of gamma phi(q) / w."""


def chunk(dtype: torch.dtype) -> int:
    """Return the tokens of a chunk."""
    return min(CHUNK, UNROLLED) if dtype is torch.float32 else CHUNK


def warps(width: int, depth: int) -> int:
    """Return a program's warps: a state of 64 x 64 takes 32 registers of each thread, one of 128 x 128 64."""
    return 4 if max(width, depth) <= 64 else 8


def segments(q: Tensor, v: Tensor, *, causal: bool, reverse: bool = False) -> Segments:
    """Return the segments: as many as run at once, in reverse for the gradients of k and v.

    Where tokens see only those before them, or only those after them, no other segment needs the sums of the last.
    """
    rows, tokens, unit = q.shape[0] * q.shape[1], q.shape[2], chunk(q.dtype)
    large = reverse or q.dtype is not torch.bfloat16
    together = TOGETHER[2 if warps(q.shape[3], v.shape[3]) > 4 else large]
    parts = max(1, min(MULTIPROCESSORS * together // rows, tokens // SHORTEST))
    length = max(1, -(-tokens // (parts * unit))) * unit
    parts = max(1, -(-tokens // length))
    return Segments(parts, length, parts - 1 if causal else parts)


def attended(q: Tensor, v: Tensor, *, causal: bool, log: bool) -> Attended:
    """Allocate what a forward pass gives."""
    batch, heads, tokens, width = q.shape
    rows, depth = batch * heads, v.shape[3]
    slots = segments(q, v, causal=causal).slots
    chunks = -(-tokens // chunk(q.dtype)) if causal else 1
    out = q.new_empty(batch, heads, tokens, depth)
    kept, starts = _single(q, 9 if log else 1, rows, tokens), _single(q, rows, chunks, width)
    states = _single(q, rows, slots, width, depth)
    return Attended(out, kept, starts, states, _single(q, rows, width, depth), _single(q, rows, width))


def gradients(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, log: bool) -> Gradients:
    """Allocate what a way back gives and holds."""
    batch, heads, tokens, width = q.shape
    rows, depth = batch * heads, v.shape[3]
    programs = rows * sum(segments(q, v, causal=causal, reverse=reverse).parts for reverse in (False, True))
    slots = segments(q, v, causal=causal, reverse=True).slots
    dq, dk, dv = (x.new_empty(x.shape) for x in (q, k, v))
    shares, made = _single(q, programs if log else 0), _single(q, 2 if log else 1, rows, tokens)
    states, sides = _single(q, rows, slots, width, depth), _single(q, rows, slots, width)
    return Gradients(dq, dk, dv, shares, made, states, sides)


def _single(like: Tensor, *size: int) -> Tensor:
    return like.new_empty(size, dtype=torch.float32)
