"""The Triton scan as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("kernels::linear_scan", mutates_args=())
def linear_scan(a: Tensor | None, b: Tensor, initial: Tensor, *, reverse: bool) -> Tensor:
    """h_t = a_t h_(t-1) + b_t."""
    from kernels.linear_scan import kernel

    a = None if a is None else a.contiguous()
    return kernel.forward(a, b.contiguous(), initial.contiguous(), reverse=reverse)


@linear_scan.register_fake
def _(a: Tensor | None, b: Tensor, initial: Tensor, *, reverse: bool) -> Tensor:
    return b.new_empty(b.shape)


@torch.library.custom_op("kernels::linear_scan_backward", mutates_args=())
def linear_scan_backward(
    g: Tensor, a: Tensor | None, h: Tensor, initial: Tensor, *, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a (empty where a is absent), b and the initial state."""
    from kernels.linear_scan import kernel

    a = None if a is None else a.contiguous()
    return kernel.backward(g.contiguous(), a, h, initial.contiguous(), reverse=reverse)


@linear_scan_backward.register_fake
def _(g: Tensor, a: Tensor | None, h: Tensor, initial: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    da = g.new_empty(0) if a is None else g.new_empty(g.shape)
    return da, g.new_empty(g.shape), initial.new_empty(initial.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
    a, _, initial = inputs
    ctx.save_for_backward(a, output, initial)
    ctx.reverse = keyword_only_inputs["reverse"]


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    a, h, initial = ctx.saved_tensors
    da, db, dinitial = linear_scan_backward(g, a, h, initial, reverse=ctx.reverse)
    return None if a is None else da, db, dinitial


linear_scan.register_autograd(_gradients, setup_context=_keep)
