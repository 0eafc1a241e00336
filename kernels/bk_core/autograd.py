"""The Triton kernels as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor

from kernels.bk_core import sizes


@torch.library.custom_op("kernels::bk_core", mutates_args=())
def bk_core(a: Tensor, b: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """G and, for the gradient, what the fractions are at every `sizes.ROWS` rows."""
    from kernels.bk_core import launch

    return launch.forward(a.contiguous(), b.contiguous(), c.contiguous(), z.contiguous())


@bk_core.register_fake
def _(a: Tensor, b: Tensor, c: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return z.new_empty(a.shape), z.new_empty(*z.shape, -(-a.shape[-1] // sizes.ROWS), 2)


@torch.library.custom_op("kernels::bk_core_backward", mutates_args=())
def bk_core_backward(
    g: Tensor, a: Tensor, b: Tensor, c: Tensor, z: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of a, b, c and z."""
    from kernels.bk_core import launch

    g, a, b, c, z = (x.contiguous() for x in (g, a, b, c, z))
    return launch.backward(g, a, b, c, z, states)


@bk_core_backward.register_fake
def _(g: Tensor, a: Tensor, b: Tensor, c: Tensor, z: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return a.new_empty(a.shape), b.new_empty(b.shape), c.new_empty(c.shape), z.new_empty(z.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    _, states = output
    ctx.save_for_backward(*inputs, states)
    ctx.mark_non_differentiable(states)
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros


def _gradients(ctx: Any, g: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return bk_core_backward(g, *ctx.saved_tensors)


bk_core.register_autograd(_gradients, setup_context=_keep)
