"""Which kernels run, in how many programs, and in which tiles."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.tensor_train import kernel
from kernels.tensor_train.sizes import Room
from kernels.triton import following, power_of_2

ROWS = 64
"""Rows p of a token's (d1, d2) embedding that one program forms, at most."""
STAGES = 3
"""Tiles of the cores, or of the logits' gradients, that are in use or on their way into shared memory."""
WHOLE = 8192
"""Numbers that a program of the last step holds at once."""


def _ceil(n: int, size: int) -> int:
    return -(-n // size)


def _launch(r: int, d1: int, d2: int) -> dict[str, int]:
    sizes = [power_of_2(n) for n in (min(d1, ROWS), d2, r)]
    warps = 4 if sizes[0] * sizes[1] <= 4096 else 8
    return dict(zip("PQR", sizes, strict=True)) | {"num_warps": warps}


def forward(index: Tensor, core1: Tensor, core2: Tensor, phase: Tensor, width: int) -> Tensor:
    """Return the embeddings; all tensors contiguous."""
    out = core1.new_empty((*index.shape, width))
    (v1, r, d1), (v2, _, d2) = core1.shape, core2.shape
    sizes = _launch(r, d1, d2)
    if index.numel():
        grid = (index.numel(), _ceil(d1, sizes["P"]))
        kernel.look_up[grid](index, core1, core2, phase, out, v1, v2, r, d1, d2, width, **sizes, **following())
    return out


def backward(
    g: Tensor, index: Tensor, core1: Tensor, core2: Tensor, phase: Tensor, room: Room
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of cores and phases; those of the cores are added up by atomics, in no fixed order."""
    (v1, r, d1), (v2, _, d2), (slots, slot) = core1.shape, core2.shape, room.order.shape[1:]
    tokens, sums, sizes = index.numel(), room.sums, _launch(r, d1, d2)
    kernel.sort[len(room.counts) + _ceil(sums.numel(), room.chunk),](
        index, room.order, room.counts, sums, tokens, slots, sums.numel(), v1, v2,
        room.chunk, slot, power_of_2(v1), **following(), num_warps=max(1, room.chunk // 256),
    )  # fmt: skip
    if slots:
        kernel.look_up_backward[slots, _ceil(d1, sizes["P"])](
            g, room.order, core1, core2, phase, sums, slots, v1, v2, r, d1, d2, g.shape[-1],
            SLOT=slot, **sizes, **following(),
        )  # fmt: skip
    gradients = torch.empty_like(core1), torch.empty_like(core2), torch.empty_like(phase)
    columns = power_of_2(d1)
    kernel.finish[r + _ceil(core2.numel(), WHOLE),](
        sums, core1, phase, *gradients, v1, core2.numel(), r, d1, max(1, WHOLE // columns), columns, WHOLE,
        **following(), num_warps=8,
    )  # fmt: skip
    return gradients


def _tiles(core1: Tensor, core2: Tensor) -> dict[str, int]:
    """Return the tile of (i1, i2) of one token, and how to compute it; the README counts registers and bytes."""
    (v1, _, d1), (v2, _, d2) = core1.shape, core2.shape
    sizes = {"P": power_of_2(d1), "Q": power_of_2(d2)}
    most = (128, 256) if max(sizes.values()) <= 64 else (64, 128)
    m, n = (min(size, power_of_2(v)) for size, v in zip(most, (v1, v2), strict=True))
    return sizes | {"M": m, "N": n, "num_warps": 8 if m == 128 else 4, "num_stages": STAGES}


def logits(hidden: Tensor, core1: Tensor, core2: Tensor, out: Tensor) -> None:
    """Write the logits of the tokens `hidden` (T, d) to the rows of `out`; `hidden` and cores are contiguous."""
    (v1, r, d1), (v2, _, d2), tiles = core1.shape, core2.shape, _tiles(core1, core2)
    if len(hidden):
        kernel.logits[len(hidden) * _ceil(v1, tiles["M"]), _ceil(v2, tiles["N"])](
            hidden, core1, core2, out, out.stride(0), v1, v2, r, d1, d2, hidden.shape[-1], **tiles
        )


def logits_backward(
    g: Tensor, hidden: Tensor, core1: Tensor, core2: Tensor, dhidden: Tensor, sums: tuple[Tensor, Tensor]
) -> None:
    """Write the gradient of `hidden`, and add those of the cores to `sums`, (parts, v, r, d) each.

    `g` is (T, v1, at least v2), zero beyond v2; 16 bytes of a row move at once.
    """
    (v1, r, d1), (v2, _, d2), (tokens, width) = core1.shape, core2.shape, hidden.shape
    g_t, g_1, _ = g.stride()
    tiles = _tiles(core1, core2) | {"num_warps": 8}
    kernel.logits_hidden_backward[tokens,](g, core1, core2, dhidden, g_t, g_1, v1, v2, r, d1, d2, width, **tiles)
    of_core1 = (g_t, g_1, 1, v1, g_1, v1, v2, r, 1, d2, d2, d1)
    of_core2 = (g_t, 1, g_1, g_1, v1, v2, v1, r, d2, 1, d1, d2)
    for other, total, sizes in zip((core2, core1), sums, (of_core1, of_core2), strict=True):
        tiles = _core_tiles(total, other)
        each = _ceil(tokens, len(total))
        grid = _ceil(r, 2), _ceil(total.shape[1], tiles["M"]), _ceil(tokens, each)
        kernel.logits_core_backward[grid](g, hidden, other, total, tokens, each, *sizes, width, **tiles)


def _core_tiles(sums: Tensor, other: Tensor) -> dict[str, int]:
    """Return the tile of a core's gradient: two rho of it, in float32, fill half of the registers."""
    a, b = power_of_2(other.shape[-1]), power_of_2(sums.shape[-1])
    m, k = (256, 64) if max(a, b) <= 64 else (128, 32)
    m, k = min(m, power_of_2(sums.shape[1])), min(k, power_of_2(len(other)))
    return {"M": m, "K": k, "A": a, "B": b, "num_warps": 8 if m >= 128 else 4, "num_stages": STAGES}
