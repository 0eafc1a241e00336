"""r -> f -> r as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor

HELD_BYTES = 128 << 20
"""Hidden activations that exist at once on the way there."""

HELD_BACK = {"thin": 104 << 20, "wide": 448 << 20}
"""And on the way back, with as much room for their gradients: up to rank `FUSED`, and above. There another slice, which
reads and writes the sums of two gradients, takes more than a hundredth of the time."""

FEW = 128
"""Up to so many tokens the definition runs: a kernel spares nothing, and Python takes longer than the GPU."""

AGAIN = 512
"""The largest rank for which the way back forms the hidden layer again. Its products grow with the rank, what keeping
it costs does not: above, the definition runs where gradients are wanted."""

FUSED = 128
"""The largest rank for which nothing of size f reaches memory. Above, the way there and back costs less than reading
all of E and C once per tile of tokens."""

FUSED_TILES = 96
"""Tiles of 64 tokens from which on the fused kernel, one program each, keeps most of an H100's 132 processors busy."""

TILES = 264
"""Tiles of 128 tokens and 256 features from which on the kernels form the hidden layer: two for each processor.

For less, cuBLAS chooses smaller tiles, and the memory that the kernels spare is in L2.
"""


def tiled(z: Tensor, expand: Tensor, contract: Tensor) -> bool:
    """Whether the kernels form the hidden layer, else cuBLAS does.

    The kernels want half precision (in single precision cuBLAS is as fast), enough tiles, and rows that start at
    multiples of 16 bytes, or the GPU's copy engine cannot fetch them.
    """
    size, tiles = z.element_size(), -(-len(z) // 128) * -(-len(expand) // 256)
    even = all(
        x.stride(1) == 1 and all(n * size % 16 == 0 for n in (x.shape[1], x.stride(0), x.storage_offset()))
        for x in (z, expand, contract)
    )
    return even and size == 2 and tiles >= TILES


def fused(z: Tensor, expand: Tensor, contract: Tensor) -> bool:
    """Whether one kernel does all."""
    return tiled(z, expand, contract) and z.shape[1] <= FUSED and -(-len(z) // 64) >= FUSED_TILES


def kept(z: Tensor, expand: Tensor, contract: Tensor) -> bool:
    """Whether gradients are wanted at a rank where the hidden layer is worth its memory."""
    return z.shape[-1] > AGAIN and torch.is_grad_enabled() and any(x.requires_grad for x in (z, expand, contract))


def slice_tokens(tokens: int, features: int, itemsize: int, held: int) -> int:
    """Return the tokens of a slice: a multiple of 128, the height of a product's tile; all slices are about as high."""
    most = max(held // (max(features, 1) * itemsize) // 128 * 128, 128)
    slices = max(-(-tokens // most), 1)
    return max(min(tokens, -(-tokens // (128 * slices)) * 128), 1)


def _held(z: Tensor, expand: Tensor) -> Tensor:
    """Return room for a slice of the hidden layer."""
    return z.new_empty(slice_tokens(len(z), len(expand), z.element_size(), HELD_BYTES), len(expand))


def _held_back(z: Tensor, expand: Tensor) -> Tensor:
    """Return room for a slice of the hidden layer and of its gradient."""
    held = HELD_BACK["wide" if z.shape[1] > FUSED else "thin"]
    return z.new_empty(2, slice_tokens(len(z), len(expand), z.element_size(), held), len(expand))


@torch.library.custom_op("kernels::low_rank_ffn", mutates_args=())
def hidden_map(z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> Tensor:
    """Return contract act(expand z) for tokens z (T, r), in one kernel or a slice of tokens at a time."""
    from kernels.low_rank_ffn import kernel

    if fused(z, expand, contract):
        return kernel.fused(z, expand, contract, gelu=gelu)
    out, held, tiles = z.new_empty(z.shape), _held(z, expand), tiled(z, expand, contract)
    for tokens, part in zip(z.split(len(held)), out.split(len(held)), strict=True):
        hidden = held[: len(tokens)]
        if tiles:
            kernel.form(tokens, expand, hidden, gelu=gelu)
        else:
            torch.mm(tokens, expand.T, out=hidden)
            kernel.activate(hidden, gelu=gelu)
        torch.mm(hidden, contract.T, out=part)
    return out


@hidden_map.register_fake
def _(z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> Tensor:
    if not fused(z, expand, contract):
        _held(z, expand)  # a prediction of memory sees it
    return z.new_empty(z.shape)


@torch.library.custom_op("kernels::low_rank_ffn_backward", mutates_args=())
def hidden_map_backward(
    g: Tensor, z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of z, expand and contract, a slice of tokens at a time.

    Per slice: A = act(H) with H = z E^T again, and B = (g C) act'(H); dz = B E is complete, while dE += B^T z and
    dC += g^T A add up over the slices.
    """
    from kernels.low_rank_ffn import kernel

    dz, d_expand, d_contract = z.new_empty(z.shape), torch.empty_like(expand), torch.empty_like(contract)
    held, tiles = _held_back(z, expand), tiled(z, expand, contract)
    slices = zip(*(x.split(held.shape[1]) for x in (z, g, dz)), strict=True)
    for number, (tokens, sent, d_tokens) in enumerate(slices):
        hidden, gradient = held[:, : len(tokens)]
        if tiles:
            kernel.through(tokens, sent, expand, contract, hidden, gradient, gelu=gelu)
        else:
            torch.mm(sent, contract, out=gradient)
            torch.mm(tokens, expand.T, out=hidden)
            kernel.both(hidden, gradient, gelu=gelu)
        d_expand.addmm_(gradient.T, tokens, beta=float(number > 0))
        d_contract.addmm_(sent.T, hidden, beta=float(number > 0))
        torch.mm(gradient, expand, out=d_tokens)
    return dz, d_expand, d_contract


@hidden_map_backward.register_fake
def _(g: Tensor, z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> tuple[Tensor, Tensor, Tensor]:
    _held_back(z, expand)  # a prediction of memory sees it
    return z.new_empty(z.shape), torch.empty_like(expand), torch.empty_like(contract)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: dict[str, bool], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)
    ctx.names = keyword_only_inputs


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:
    return hidden_map_backward(g.contiguous(), *ctx.saved_tensors, **ctx.names)


hidden_map.register_autograd(_gradients, setup_context=_keep)
