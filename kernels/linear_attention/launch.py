"""Which kernels run, in how many programs, and in which tiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernels.linear_attention import kernel, sizes
from kernels.linear_attention.sizes import Attended, Gradients
from kernels.triton import power_of_2

STAGES = {"collect": (4, 4, 4), "attend": (2, 2, 3), "to_queries": (3, 2, 3), "to_keys_and_values": (3, 2, 2)}
"""Chunks in flight in bfloat16, with four warps, in the ball, and with eight warps: as shared memory has room for."""

REGISTERS = {"attend": 168, "to_queries": 168}
"""The most that a thread of a kernel of four warps takes in bfloat16, so that three programs share a multiprocessor."""

State = tuple[Tensor, Tensor]
"""Sums of phi(k) v^T, (B H, D, E), and of phi(k), (B H, D): contiguous, in float32."""


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for x in tensors for stride in x.stride()[:3]]


def _maps(q: Tensor, v: Tensor, *, elu: bool, log: bool) -> dict[str, Any]:
    """Return the widths of all kernels, and what they do to queries, keys and values as they load them."""
    width, depth = q.shape[3], v.shape[3]
    return {
        "D": width, "E": depth, "ELU": elu, "LOG": log, "HALF": q.dtype is torch.bfloat16,
        "BD": power_of_2(width), "BE": power_of_2(depth), "num_warps": sizes.warps(width, depth),
    }  # fmt: skip


def _tiles(name: str, q: Tensor, maps: dict[str, Any]) -> dict[str, Any]:
    """Return the maps, the chunk, and how the kernel `name` is compiled.

    TF32 has float16's digits, and a range that sums fit in.
    """
    chunk, half, wide = sizes.chunk(q.dtype), maps["HALF"], maps["num_warps"] > 4
    tiles = {"BT": chunk, "EVEN": q.shape[2] % chunk == 0, "PRECISION": "tf32" if q.dtype is torch.float16 else "ieee"}
    if half:
        tiles["num_stages"] = STAGES[name][2 if wide else maps["LOG"]]
    else:
        tiles["num_stages"] = 2 if q.dtype is torch.float16 and not wide else 1
    if half and not wide and name in REGISTERS:
        tiles["maxnreg"] = REGISTERS[name]
    return maps | tiles


def forward(
    q: Tensor, k: Tensor, v: Tensor, curvature: Tensor, initial: State | None, *, causal: bool, elu: bool, log: bool
) -> Attended:
    """Return the attention of q, k and v, whose last strides are one, from the state `initial` on."""
    given = sizes.attended(q, v, causal=causal, log=log)
    rows, heads, tokens = q.shape[0] * q.shape[1], q.shape[1], q.shape[2]
    state, side = initial or (None, None)
    out, kept, starts, states, last, last_side = given
    strides, maps = _strides(q, k, v), _maps(q, v, elu=elu, log=log)
    if causal and tokens <= sizes.FEW:
        kernel.step[(rows,)](
            q, k, v, curvature, state, side, out, kept, starts, last, last_side, *strides, heads, tokens, **maps
        )
        return given
    parts, length, slots = sizes.segments(q, v, causal=causal)
    sides = states.new_empty(states.shape[:3])
    if slots:
        kernel.collect[(rows, slots)](
            k, v, None, curvature, None, None, states, sides, *_strides(k, v), heads, tokens, length, 0,
            GRADIENT=False, **_tiles("collect", q, maps),
        )  # fmt: skip
    kernel.attend[(rows, parts)](
        q, k, v, curvature, state, side, states, sides, out, kept, starts, last, last_side, *strides,
        heads, tokens, length, slots, CAUSAL=causal, **_tiles("attend", q, maps),
    )  # fmt: skip
    return given


def backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, curvature: Tensor, initial: Tensor | None, out: Tensor, kept: Tensor,
    starts: Tensor, states: Tensor, *, causal: bool, elu: bool, log: bool,
) -> Gradients:  # fmt: skip
    """Return the gradients of q, k and v, and the shares of the curvature's, from that of the output."""
    given = sizes.gradients(q, k, v, causal=causal, log=log)
    rows, heads, tokens = q.shape[0] * q.shape[1], q.shape[1], q.shape[2]
    dq, dk, dv, shares, made, sums, sides = given
    strides, maps = _strides(g, q, k, v), _maps(q, v, elu=elu, log=log)
    parts, length, slots = sizes.segments(q, v, causal=causal)
    of_queries, of_keys = (shares[: rows * parts], shares[rows * parts :]) if log else (None, None)
    kernel.to_queries[(rows, parts)](
        g, q, k, v, out, curvature, initial, states, kept, starts, dq, made, of_queries, *strides,
        heads, tokens, length, slots, CAUSAL=causal, **_tiles("to_queries", q, maps),
    )  # fmt: skip
    parts, length, slots = sizes.segments(q, v, causal=causal, reverse=True)
    if slots:
        kernel.collect[(rows, slots)](
            q, g, out, curvature, kept, made, sums, sides, *_strides(q, g), heads, tokens, length, parts - slots,
            GRADIENT=True, **_tiles("collect", q, maps),
        )  # fmt: skip
    kernel.to_keys_and_values[(rows, parts)](
        g, q, k, v, out, curvature, sums, sides, kept, made, dk, dv, of_keys, *strides,
        heads, tokens, length, slots, CAUSAL=causal, **_tiles("to_keys_and_values", q, maps),
    )  # fmt: skip
    return given
