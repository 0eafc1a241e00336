"""Which kernels run, in how many programs, and in which tiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels.linear_attention import kernel

CHUNK = 64
"""Tokens whose inner products are formed at once."""

PROGRAMS = 128
"""Programs that keep the GPU busy: with fewer sequences than that, each is cut into segments."""


class Operand(NamedTuple):
    """A tensor (B, H, N, D) whose last stride is one, and the maps that its loads apply."""

    x: Tensor
    elu: bool = False
    log: bool = False


State = tuple[Tensor, Tensor]
"""Sums of b c^T, (B H, A, C), and the side sums, in float32."""


def _tiles(a: int, c: int) -> dict[str, int]:
    """Return the tile: a chunk of tokens, and widths that are powers of two."""
    return {"BT": CHUNK} | {name: max(16, 1 << (width - 1).bit_length()) for name, width in (("BA", a), ("BC", c))}


def _arithmetic(dtype: torch.dtype) -> dict[str, Any]:
    """Return the precision of products: TF32 has float16's digits, and a range that the sums fit in."""
    return {"HALF": dtype is torch.bfloat16, "PRECISION": "tf32" if dtype is torch.float16 else "ieee"}


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for x in tensors for stride in x.stride()[:3]]


def _parts(sequences: int, tokens: int) -> int:
    """Return into how many segments a sequence is cut, none shorter than four chunks."""
    return max(1, min(-(-PROGRAMS // sequences), tokens // (4 * CHUNK)))


def _length(tokens: int, parts: int) -> int:
    """Return the tokens of a segment: whole chunks."""
    return -(-tokens // (parts * CHUNK)) * CHUNK


def _starts(
    b: Operand, c: Operand, gamma: Tensor, curvature: Tensor, initial: State | None, side: int, *, parts: int,
    causal: bool, reverse: bool, dtype: torch.dtype,
) -> State:  # fmt: skip
    """Return the state in which each segment starts; without a mask, the one state that all of them see."""
    batch, heads, tokens, width = b.x.shape
    rows, depth = batch * heads, c.x.shape[-1]
    if initial is None:
        zero = b.x.new_zeros((), dtype=torch.float32)
        initial = zero.expand(rows, width, depth), zero.expand(rows, width if side == 1 else depth)
    if causal and parts == 1:
        state, sides = (x[:, None].clone(memory_format=torch.contiguous_format) for x in initial)
        return state, sides
    sums = tuple(x.new_empty(rows, parts, *x.shape[1:]) for x in initial)
    kernel.collect[(rows, parts)](
        b.x, c.x, gamma, curvature, *sums, *_strides(b.x, c.x), heads, tokens, width, depth, _length(tokens, parts),
        side, b.elu, c.elu, b.log, c.log, **_arithmetic(dtype), **_tiles(width, depth), num_warps=4,
    )  # fmt: skip
    if not causal:
        return (sums[0].sum(1) + initial[0]).contiguous(), sums[1].sum(1) + initial[1]
    order = [x.flip(1) if reverse else x for x in sums]
    starts = [torch.cat([i[:, None], x[:, :-1]], 1).cumsum(1) for i, x in zip(initial, order, strict=True)]
    state, sides = (x.flip(1).contiguous() if reverse else x for x in starts)
    return state, sides


class Walked(NamedTuple):
    """What a walk gives: y, before the exponential map, the sums of weights, the last state, curvature's share."""

    y: Tensor
    mean: Tensor
    weight: Tensor
    state: State
    share: Tensor


def product(
    a: Operand, b: Operand, c: Operand, x: Operand, gamma: Tensor, curvature: Tensor, *, side: int, causal: bool,
    dtype: torch.dtype, reverse: bool = False, exp: bool = False, initial: State | None = None,
) -> Walked:  # fmt: skip
    """Return y_n = sum_m (a_n . b_m) c_m over m <= n, over m >= n if `reverse`, over all m if not `causal`.

    `side` is the kernel's SIDE. Unless it is 1, y is a gradient, taken back through the maps of `x`'s loads.
    """
    batch, heads, tokens, width = a.x.shape
    rows, depth = batch * heads, c.x.shape[-1]
    parts = _parts(rows, tokens)
    state, sides = _starts(
        b, c, gamma, curvature, initial, side, parts=parts, causal=causal, reverse=reverse, dtype=dtype
    )
    if not causal:
        parts = -(-tokens // (4 * CHUNK))
    y = x.x.new_empty(batch, heads, tokens, depth, dtype=dtype)
    mean = torch.empty_like(y) if exp else y.new_empty(0)
    weight = y.new_empty((rows, tokens) if side == 1 else 0, dtype=torch.float32)
    shares = y.new_empty((rows, parts) if side != 1 and x.log else 0, dtype=torch.float32)
    kernel.walk[(rows, parts)](
        a.x, b.x, c.x, x.x, gamma, curvature, state, sides, y, mean, weight, shares,
        *_strides(a.x, b.x, c.x, x.x), heads, tokens, width, depth, _length(tokens, parts),
        causal, reverse, side, exp, a.elu, b.elu, c.elu, x.elu, a.log, b.log, c.log, x.log,
        **_arithmetic(dtype), **_tiles(width, depth), num_warps=4, num_stages=2,
    )  # fmt: skip
    last = (state[:, -1], sides[:, -1]) if causal else (state, sides)
    return Walked(y, mean, weight, last, shares.sum())


def prepare(g: Tensor, mean: Tensor, weight: Tensor, curvature: Tensor, *, exp: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the weighted sums (float32 for float16: they are small) and weights, and the share."""
    batch, heads, tokens, depth = g.shape
    parts = -(-tokens // CHUNK)
    scaled = torch.empty(g.shape, dtype=torch.float32 if g.dtype is torch.float16 else g.dtype, device=g.device)
    gamma = torch.empty_like(weight)
    shares = weight.new_empty((batch * heads, parts) if exp else 0)
    kernel.prepare[(batch * heads, parts)](
        g, mean, weight, curvature, scaled, gamma, shares, *_strides(g), heads, tokens, depth,
        exp, BT=CHUNK, BC=_tiles(depth, depth)["BC"], num_warps=4,
    )  # fmt: skip
    return scaled, gamma, shares.sum()
