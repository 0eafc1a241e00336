"""The Triton product as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("kernels::semiseparable", mutates_args=())
def semiseparable(x: Tensor, a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """(T + U V^T) x for x of shape (B, N, d) and, for the gradient, V^T x."""
    from kernels.semiseparable import kernel

    x, a, b, c, u, v = (tensor.contiguous() for tensor in (x, a, b, c, u, v))
    w = kernel.project(v, x)
    return kernel.apply(x, a, b, c, u, w), w


@semiseparable.register_fake
def _(x: Tensor, a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty((x.shape[0], v.shape[-1], x.shape[-1]))


@torch.library.custom_op("kernels::semiseparable_backward", mutates_args=())
def semiseparable_backward(
    g: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor, w: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, by the transposed product, and of the parameters."""
    from kernels.semiseparable import kernel

    g, x, a, b, c, u, v = (tensor.contiguous() for tensor in (g, x, a, b, c, u, v))
    return kernel.gradients(g, x, a, b, c, v, w, kernel.project(u, g))


@semiseparable_backward.register_fake
def _(
    g: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor, w: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    dx, da, db, dc, du, dv = (tensor.new_empty(tensor.shape) for tensor in (x, a, b, c, u, v))
    return dx, da, db, dc, du, dv


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros


def _gradients(ctx: Any, g: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return semiseparable_backward(g, *ctx.saved_tensors)


semiseparable.register_autograd(_gradients, setup_context=_keep)
