"""The Moebius recurrence as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("kernels::hyperbolic_scan", mutates_args=())
def hyperbolic_scan(a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states h (R, N, S) and 1 - c |h|^2 (R, N), in float32."""
    from kernels.hyperbolic_scan import kernel

    return kernel.forward(a, b, curvature, initial)


@hyperbolic_scan.register_fake
def _(a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    states = b.new_empty(b.shape, dtype=torch.float32)
    return states, states.new_empty(b.shape[:2])


@torch.library.custom_op("kernels::hyperbolic_scan_backward", mutates_args=())
def hyperbolic_scan_backward(
    g: Tensor, a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor, states: Tensor, gaps: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, the curvature and the initial state."""
    from kernels.hyperbolic_scan import kernel

    return kernel.backward(g, a, b, curvature, initial, states, gaps)


@hyperbolic_scan_backward.register_fake
def _(
    g: Tensor, a: Tensor, b: Tensor, curvature: Tensor, initial: Tensor, states: Tensor, gaps: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return a.new_empty(a.shape), b.new_empty(b.shape), torch.empty_like(curvature), initial.new_empty(initial.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros
    ctx.save_for_backward(*inputs, *output)


def _gradients(ctx: Any, g: Tensor, _: Tensor | None) -> tuple[Tensor, ...]:
    return hyperbolic_scan_backward(g.contiguous(), *ctx.saved_tensors)


hyperbolic_scan.register_autograd(_gradients, setup_context=_keep)
