"""Which kernels run, in how many programs, and in which tiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels.hyperbolic_attention import kernel
from kernels.triton import power_of_2


class Tiles(NamedTuple):
    """The shape of a pass: a program's own points, those of a step, and how it is compiled."""

    rows: int
    columns: int
    warps: int
    stages: int
    registers: int | None = None
    """The most of a thread, so that more programs share a multiprocessor; None: what the compiler takes."""


FORWARD = {64: Tiles(128, 64, 8, 2, 128), 128: Tiles(128, 64, 8, 2)}
BACKWARD_Q = {64: Tiles(64, 64, 4, 2), 128: Tiles(128, 32, 8, 2)}
BACKWARD_KV = {64: Tiles(64, 64, 4, 2), 128: Tiles(128, 32, 8, 2)}
"""Of half precision, by the larger width of q and v: up to 64, and above."""

SINGLE = Tiles(64, 32, 8, 2)
"""Of float32 in every pass: the largest at which no pass spills registers."""

SPAN = 64
"""Queries that share one span of near keys; no more than a forward program's, unless those are all."""

NEAR = {torch.bfloat16: 2.0**-12, torch.float16: 2.0**-10, torch.float32: 0.0}
"""Where |q - k|^2 is a smaller part of |q|^2, it is summed from differences; in float32 it always is."""


def _settings(tiles: dict[int, Tiles], q: Tensor, v: Tensor, rows: int, columns: int) -> dict[str, Any]:
    """Return tile sizes, arithmetic and how to compile."""
    width, depth = (power_of_2(x.shape[-1]) for x in (q, v))
    chosen = SINGLE if q.dtype is torch.float32 else tiles[64 if max(width, depth) <= 64 else 128]
    settings = {
        "DIRECT": q.dtype is torch.float32,
        "NEAR": NEAR[q.dtype],
        "SPAN": SPAN,
        "WHOLE": (width, depth) == (q.shape[-1], v.shape[-1]),
        "R": min(chosen.rows, power_of_2(rows)),
        "C": min(chosen.columns, power_of_2(columns)),
        "BD": width,
        "BE": depth,
        "num_warps": chosen.warps,
        "num_stages": chosen.stages,
    }
    return settings | ({"maxnreg": chosen.registers} if chosen.registers else {})


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for x in tensors for stride in x.stride()[:3]]


def norms(x: Tensor, curvature: Tensor) -> Tensor:
    """Return |x|^2 and 1 / (1 - c |x|^2), two float32 in a word; NaN where c |x|^2 >= 1."""
    batch, heads, tokens, width = x.shape
    found = x.new_empty(batch * heads, tokens, dtype=torch.int64)
    block = 64
    kernel.norms[(batch * heads, -(-tokens // block))](
        x, curvature, found, *_strides(x), heads, tokens, width,
        BLOCK=block, BD=power_of_2(width), num_warps=4,
    )  # fmt: skip
    return found


def forward(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the output, log2 of the sums of weights, norms of queries and keys, and spans of near keys."""
    batch, heads, queries, width = q.shape
    keys, depth = v.shape[2:]
    out, q_norms, k_norms = q.new_empty(batch, heads, queries, depth), norms(q, curvature), norms(k, curvature)
    total = torch.empty_like(q_norms, dtype=torch.float32)
    settings = _settings(FORWARD, q, v, queries, keys)
    spans = q.new_empty(batch * heads, -(-queries // SPAN), 2, dtype=torch.int32)
    shift = max(settings["C"], power_of_2(-(-keys // 32))).bit_length() - 1
    kernel.forward[(-(-queries // settings["R"]), batch * heads)](
        q, k, v, beta, curvature, q_norms, k_norms, out, total, spans, shift,
        *_strides(q, k, v), heads, queries, keys, width, depth, causal, **settings,
    )  # fmt: skip
    return out, total, q_norms, k_norms, spans


def backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, out: Tensor, total: Tensor,
    q_norms: Tensor, k_norms: Tensor, spans: Tensor, *, causal: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of q, k, v, beta and the curvature."""
    batch, heads, queries, width = q.shape
    keys, depth = v.shape[2:]
    dq, dk, dv = q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    closing, by_beta, by_curvature = torch.empty_like(q_norms), torch.empty_like(total), torch.empty_like(total)
    sizes = (*_strides(q, k, v), heads, queries, keys, width, depth, causal)
    given = (q, k, v, g, beta, curvature, q_norms, k_norms)
    settings = _settings(BACKWARD_Q, q, v, queries, keys)
    kernel.backward_q[(-(-queries // settings["R"]), batch * heads)](
        *given, out, total, spans, dq, closing, by_beta, by_curvature, *sizes, **settings
    )
    settings = _settings(BACKWARD_KV, q, v, keys, queries)
    kernel.backward_kv[(-(-keys // settings["R"]), batch * heads)](*given, closing, spans, dk, dv, *sizes, **settings)
    return dq, dk, dv, by_beta.sum(), by_curvature.sum()
