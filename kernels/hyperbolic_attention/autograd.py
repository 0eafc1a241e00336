"""The kernels as operators that fake tensors, `torch.compile` and autograd see through.

All tensors are (B, H, N, D).
"""

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("kernels::hyperbolic_attention", mutates_args=())
def hyperbolic_attention(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the output, log2 of the sums of weights, the norms of queries and keys, and the spans of near keys."""
    from kernels.hyperbolic_attention import launch

    return launch.forward(q, k, v, beta, curvature, causal=causal)


@hyperbolic_attention.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    from kernels.hyperbolic_attention import launch

    rows = q.shape[0] * q.shape[1]
    total = q.new_empty(rows, q.shape[2], dtype=torch.float32)
    q_norms, k_norms = (total.new_empty(rows, n, dtype=torch.int64) for n in (q.shape[2], k.shape[2]))
    spans = total.new_empty(rows, -(-q.shape[2] // launch.SPAN), 2, dtype=torch.int32)
    return q.new_empty(*q.shape[:3], v.shape[3]), total, q_norms, k_norms, spans


@torch.library.custom_op("kernels::hyperbolic_attention_backward", mutates_args=())
def hyperbolic_attention_backward(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, out: Tensor, total: Tensor,
    q_norms: Tensor, k_norms: Tensor, spans: Tensor, *, causal: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of q, k, v, beta and the curvature."""
    from kernels.hyperbolic_attention import launch

    return launch.backward(g, q, k, v, beta, curvature, out, total, q_norms, k_norms, spans, causal=causal)


@hyperbolic_attention_backward.register_fake
def _(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, curvature: Tensor, out: Tensor, total: Tensor,
    q_norms: Tensor, k_norms: Tensor, spans: Tensor, *, causal: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    return *(x.new_empty(x.shape) for x in (q, k, v)), torch.empty_like(beta), torch.empty_like(curvature)


def _keep(
    ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: dict[str, bool], output: tuple[Tensor, ...]
) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros
    ctx.save_for_backward(*inputs, *output)
    ctx.names = keyword_only_inputs


def _gradients(ctx: Any, g: Tensor, *_: Tensor | None) -> tuple[Tensor, ...]:
    return hyperbolic_attention_backward(g.contiguous(), *ctx.saved_tensors, **ctx.names)


hyperbolic_attention.register_autograd(_gradients, setup_context=_keep)
