"""The kernels as operators that fake tensors, `torch.compile` and autograd see through.

All tensors are (B, H, N, D).
"""

from typing import Any

import torch
from torch import Tensor

from kernels.linear_attention import sizes

Six = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("kernels::linear_attention", mutates_args=())
def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    curvature: Tensor,
    state: Tensor,
    weight: Tensor,
    *,
    causal: bool,
    elu: bool,
    log: bool,
) -> Six:
    """Return `sizes.Attended`, for tokens that follow a state, which is empty if none do."""
    from kernels.linear_attention import launch

    initial = (state, weight) if state.numel() else None
    given = launch.forward(q, k, v, curvature, initial, causal=causal, elu=elu, log=log)
    return (*given,)


@linear_attention.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    curvature: Tensor,
    state: Tensor,
    weight: Tensor,
    *,
    causal: bool,
    elu: bool,
    log: bool,
) -> Six:
    given = sizes.attended(q, v, causal=causal, log=log)
    given.states.new_empty(given.states.shape[:3])  # a prediction of memory sees the side sums
    return (*given,)


@torch.library.custom_op("kernels::linear_attention_backward", mutates_args=())
def linear_attention_backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, curvature: Tensor, state: Tensor, out: Tensor, kept: Tensor,
    starts: Tensor, states: Tensor, *, causal: bool, elu: bool, log: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of q, k, v and the curvature."""
    from kernels.linear_attention import launch

    initial = state if state.numel() else None
    given = launch.backward(g, q, k, v, curvature, initial, out, kept, starts, states, causal=causal, elu=elu, log=log)
    return given.q, given.k, given.v, given.shares.sum()


@linear_attention_backward.register_fake
def _(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, curvature: Tensor, state: Tensor, out: Tensor, kept: Tensor,
    starts: Tensor, states: Tensor, *, causal: bool, elu: bool, log: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    given = sizes.gradients(q, k, v, causal=causal, log=log)  # a prediction of memory sees what it holds meanwhile
    return given.q, given.k, given.v, torch.empty_like(curvature)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: dict[str, bool], output: Six) -> None:
    out, kept, starts, states, *last = output
    ctx.mark_non_differentiable(kept, starts, states, *last)
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros
    ctx.save_for_backward(*inputs[:5], out, kept, starts, states)
    ctx.names = keyword_only_inputs


def _gradients(ctx: Any, g: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    g = g if g.stride(-1) == 1 else g.contiguous()
    return *linear_attention_backward(g, *ctx.saved_tensors, **ctx.names), None, None


linear_attention.register_autograd(_gradients, setup_context=_keep)
