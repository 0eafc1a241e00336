"""The kernels as operators that fake tensors, `torch.compile` and autograd see through.

All tensors are (B, H, N, D).
"""

from typing import Any

import torch
from torch import Tensor

Five = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


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
) -> Five:
    """Return the output, the output before the exponential map (if `log`), the sums of weights and the last state."""
    from kernels.linear_attention.launch import Operand, product

    keys, values = Operand(k, elu, log), Operand(v, log=log)
    initial = (state, weight) if state.numel() else None
    walked = product(
        Operand(q, elu, log), keys, values, values, curvature, curvature,
        side=1, causal=causal, exp=log, initial=initial, dtype=q.dtype,
    )  # fmt: skip
    state, weight = (x.contiguous().clone() for x in walked.state)
    return walked.y, walked.mean, walked.weight, state, weight


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
) -> Five:
    rows = q.shape[0] * q.shape[1]
    out = q.new_empty(*q.shape[:3], v.shape[3])
    single = q.new_empty(rows, q.shape[2], dtype=torch.float32)
    last = single.new_empty(rows, q.shape[3], v.shape[3]), single.new_empty(rows, q.shape[3])
    return out, out.new_empty(out.shape if log else 0), single, *last


@torch.library.custom_op("kernels::linear_attention_backward", mutates_args=())
def linear_attention_backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, curvature: Tensor, state: Tensor, weight: Tensor, mean: Tensor,
    total: Tensor, *, causal: bool, elu: bool, log: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of q, k, v and the curvature."""
    from kernels.linear_attention.launch import Operand, prepare, product

    scaled, gamma, share = prepare(g, mean, total, curvature, exp=log)
    queries, keys, values, given = Operand(q, elu, log), Operand(k, elu, log), Operand(v, log=log), Operand(scaled)
    initial = (state.mT, weight) if state.numel() else None
    common: dict[str, Any] = {"causal": causal, "dtype": q.dtype}
    dq = product(given, values, keys, queries, gamma, curvature, side=2, initial=initial, **common)
    dk = product(values, given, queries, keys, gamma, curvature, side=3, reverse=True, **common)
    dv = product(keys, queries, given, values, gamma, curvature, side=0, reverse=True, **common)
    return dq.y, dk.y, dv.y, share + dq.share + dk.share + dv.share


@linear_attention_backward.register_fake
def _(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, curvature: Tensor, state: Tensor, weight: Tensor, mean: Tensor,
    total: Tensor, *, causal: bool, elu: bool, log: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape), torch.empty_like(curvature)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: dict[str, bool], output: Five) -> None:
    out, mean, total, *last = output
    ctx.mark_non_differentiable(mean, total, *last)
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros
    ctx.save_for_backward(*inputs, mean if keyword_only_inputs["log"] else out, total)
    ctx.names = keyword_only_inputs


def _gradients(ctx: Any, g: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    g = g if g.stride(-1) == 1 else g.contiguous()
    return *linear_attention_backward(g, *ctx.saved_tensors, **ctx.names), None, None


linear_attention.register_autograd(_gradients, setup_context=_keep)
