"""r -> f -> r as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor

SLICE_BYTES = 64 << 20
"""Hidden activations that the backward pass holds at once; it holds as many gradients beside them."""


@torch.library.custom_op("kernels::low_rank_ffn", mutates_args=())
def hidden_map(z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> Tensor:
    """Return contract act(expand z) for tokens z (T, r)."""
    from kernels.low_rank_ffn import kernel

    return kernel.hidden_map(z, expand, contract, gelu=gelu)


@hidden_map.register_fake
def _(z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> Tensor:
    return z.new_empty(z.shape)


@torch.library.custom_op("kernels::low_rank_ffn_backward", mutates_args=())
def hidden_map_backward(
    g: Tensor, z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of z, expand and contract, a slice of hidden features at a time.

    Per slice: H = z E^T again, A = act(H) and B = (g C) act'(H) in place; dE = B^T z and dC = g^T A are complete, and
    only dz += B E adds up over the slices.
    """
    from kernels.low_rank_ffn import kernel

    dz, d_expand, d_contract = z.new_empty(z.shape), torch.empty_like(expand), torch.empty_like(contract)
    step = slice_features(len(z), len(expand), z.element_size())
    scratch = z.new_empty(2, len(z) * step)
    for start in range(0, len(expand), step):
        part = slice(start, start + step)
        up, down = expand[part], contract[:, part]
        hidden, gradient = (x[: len(z) * len(up)].view(len(z), len(up)) for x in scratch)
        torch.mm(z, up.T, out=hidden)
        torch.mm(g, down, out=gradient)
        kernel.both(hidden, gradient, gelu=gelu)
        torch.mm(gradient.T, z, out=d_expand[part])
        d_contract[:, part] = g.T @ hidden
        dz.addmm_(gradient, up, beta=float(start > 0))
    return dz, d_expand, d_contract


def slice_features(tokens: int, features: int, itemsize: int) -> int:
    """Return the hidden features of a slice: a multiple of 128, the width of a matrix product's tile."""
    return min(features, max(SLICE_BYTES // (max(tokens, 1) * itemsize) // 128 * 128, 128))


@hidden_map_backward.register_fake
def _(g: Tensor, z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> tuple[Tensor, Tensor, Tensor]:
    z.new_empty(2, len(z) * slice_features(len(z), len(expand), z.element_size()))  # a prediction of memory sees it
    return z.new_empty(z.shape), torch.empty_like(expand), torch.empty_like(contract)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: dict[str, bool], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)
    ctx.names = keyword_only_inputs


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:
    return hidden_map_backward(g.contiguous(), *ctx.saved_tensors, **ctx.names)


hidden_map.register_autograd(_gradients, setup_context=_keep)
