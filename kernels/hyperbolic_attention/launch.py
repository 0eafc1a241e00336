"""Which kernels run, in how many programs, and in which tiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernels.hyperbolic_attention import kernel

TILE_Q, TILE_K, TILE_BACK = 128, 64, 64
"""Queries and keys of a tile in the forward pass, and either on the way back."""


def _power_of_2(size: int) -> int:
    """Return the next power of two, at least 16, the least side of a product's tile."""
    return max(16, 1 << (size - 1).bit_length())


def _settings(q: Tensor, v: Tensor, tile_q: int, tile_k: int) -> dict[str, Any]:
    """Return tile sizes and arithmetic. Gradients of float16 go through TF32: its digits, and room for 1 / distance."""
    width, depth = (_power_of_2(x.shape[-1]) for x in (q, v))
    single = q.dtype is not torch.bfloat16
    return {
        "DIRECT": q.dtype is torch.float32,
        "HALF": not single,
        "PRECISION": "tf32" if q.dtype is torch.float16 else "ieee",
        "BN": min(64 if single else tile_q, _power_of_2(q.shape[2])),
        "BM": min(tile_k, _power_of_2(v.shape[2])),
        "BD": width,
        "BE": depth,
        "num_warps": 8 if max(width, depth) > 64 or single else 4,
        "num_stages": 2 if single or max(width, depth) > 64 else 3,
    }


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for x in tensors for stride in x.stride()[:3]]


def squares(x: Tensor, curvature: Tensor) -> Tensor:
    """Return |x|^2, NaN where c |x|^2 >= 1."""
    batch, heads, tokens, width = x.shape
    found = x.new_empty(batch * heads, tokens, dtype=torch.float32)
    block = 64
    kernel.squares[(batch * heads, -(-tokens // block))](
        x, curvature, found, *_strides(x), heads, tokens, width,
        BLOCK=block, BD=_power_of_2(width), num_warps=4,
    )  # fmt: skip
    return found


def forward(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the output, log2 of the sums of weights, and the squares of queries and keys."""
    batch, heads, queries, width = q.shape
    keys, depth = v.shape[2:]
    out, qq, kk = q.new_empty(batch, heads, queries, depth), squares(q, curvature), squares(k, curvature)
    total = torch.empty_like(qq)
    settings = _settings(q, v, TILE_Q, TILE_K)
    kernel.forward[(-(-queries // settings["BN"]), batch * heads)](
        q,
        k,
        v,
        beta,
        curvature,
        qq,
        kk,
        out,
        total,
        *_strides(q, k, v),
        heads,
        queries,
        keys,
        width,
        depth,
        causal,
        **settings,
    )
    return out, total, qq, kk


def backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, qq: Tensor, kk: Tensor, total: Tensor,
    delta: Tensor, *, causal: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of q, k, v, beta and the curvature."""
    batch, heads, queries, width = q.shape
    keys, depth = v.shape[2:]
    dq, dk, dv = q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    by_beta, by_curvature = torch.empty_like(qq), torch.empty_like(qq)
    settings = _settings(q, v, TILE_BACK, TILE_BACK)
    given = (q, k, v, g, beta, curvature, qq, kk, total, delta)
    sizes = (*_strides(q, k, v), heads, queries, keys, width, depth, causal)
    kernel.backward_q[(-(-queries // settings["BN"]), batch * heads)](
        *given, dq, by_beta, by_curvature, *sizes, **settings
    )
    kernel.backward_kv[(-(-keys // settings["BM"]), batch * heads)](*given, dk, dv, *sizes, **settings)
    return dq, dk, dv, by_beta.sum(), by_curvature.sum()
