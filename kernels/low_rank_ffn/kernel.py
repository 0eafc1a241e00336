"""r -> f -> r in one kernel, the hidden layer on chip; and what its backward pass does to a slice of it, in place."""

from __future__ import annotations

from typing import Any, no_type_check  # for functions that Triton reads as text

import torch
import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
@no_type_check
def _dot(a, b, PRECISION: tl.constexpr):
    """Return a b, added up in float32."""
    if INTERPRETED:  # which would multiply the bits of a bfloat16
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
@no_type_check
def _act(x, GELU: tl.constexpr):
    if GELU:
        return x * (0.5 + 0.5 * tl.erf(x * 0.7071067811865476))
    return tl.where(x < 0, 0.0, x)  # which keeps NaN


@triton.jit
@no_type_check
def _slope(x, GELU: tl.constexpr):
    if GELU:
        normal = tl.exp(-0.5 * x * x) * 0.3989422804014327
        return 0.5 + 0.5 * tl.erf(x * 0.7071067811865476) + x * normal
    return tl.where(x > 0, 1.0, 0.0)


@triton.jit
@no_type_check
def _hidden_map(
    z, expand, contract, out, z0, e0, c0, T, R, F,
    GELU: tl.constexpr, PRECISION: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, BR: tl.constexpr,
):  # fmt: skip
    """A tile of tokens: all hidden features pass by, BF at a time, and add to the output."""
    n, r = tl.program_id(0) * BT + tl.arange(0, BT), tl.arange(0, BR)
    kept = (n[:, None] < T) & (r[None, :] < R)
    tokens = tl.load(z + n[:, None].to(tl.int64) * z0 + r[None, :], mask=kept, other=0.0)
    total = tl.zeros((BT, BR), tl.float32)
    for first in range(0, F, BF):
        f = first + tl.arange(0, BF)
        inside = f < F
        up = tl.load(expand + f[None, :] * e0 + r[:, None], mask=inside[None, :] & (r[:, None] < R), other=0.0)
        hidden = _act(_dot(tokens, up, PRECISION), GELU).to(z.dtype.element_ty)
        down = tl.load(contract + r[None, :] * c0 + f[:, None], mask=inside[:, None] & (r[None, :] < R), other=0.0)
        total += _dot(hidden, down, PRECISION)
    tl.store(out + n[:, None].to(tl.int64) * R + r[None, :], total, mask=kept)


@triton.jit
@no_type_check
def _both(before, gradient, size, GELU: tl.constexpr, BLOCK: tl.constexpr):
    """act(h) over h, and dL/dact act'(h) over dL/dact."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    h = tl.load(before + at, mask=at < size, other=0.0).to(tl.float32)
    g = tl.load(gradient + at, mask=at < size, other=0.0).to(tl.float32)
    tl.store(before + at, _act(h, GELU), mask=at < size)
    tl.store(gradient + at, g * _slope(h, GELU), mask=at < size)


def _tiles(rank: int, dtype: torch.dtype) -> dict[str, Any]:
    """Return tile sizes: the float32 output, 4 BT BR bytes, is kept in at most half of the 256 KiB of registers."""
    width = max(16, triton.next_power_of_2(rank))
    single = dtype is torch.float32
    return {
        "BT": max(16, min(128, 32768 // width)),
        "BF": max(16, min(64, (8192 if single else 32768) // width)),
        "BR": width,
        "num_warps": 8 if width >= 128 else 4,
        "num_stages": 1 if width >= 512 or single else 2,
    }


def hidden_map(z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> Tensor:
    """Return contract act(expand z) for tokens z (T, r)."""
    (tokens, rank), features = z.shape, expand.shape[0]
    out = z.new_empty(tokens, rank)
    tiles = _tiles(rank, z.dtype)
    _hidden_map[(triton.cdiv(tokens, tiles["BT"]),)](
        z, expand, contract, out, z.stride(0), expand.stride(0), contract.stride(0), tokens, rank, features,
        gelu, "ieee", **tiles,
    )  # fmt: skip
    return out


def both(before: Tensor, gradient: Tensor, *, gelu: bool) -> None:
    """Write act(h) over h, and dL/dh over dL/dact(h)."""
    block = 1024
    _both[(triton.cdiv(before.numel(), block),)](before, gradient, before.numel(), gelu, BLOCK=block, num_warps=4)
