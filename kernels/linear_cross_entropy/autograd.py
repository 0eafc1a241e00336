"""The summed loss as one operator that forms its gradients on the way forward, a chunk of tokens at a time."""

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 50 << 20
"""Logits that exist at once: as many as an H100's L2 holds, and 64 MiB with cuBLAS's workspace and the losses."""

ALIGN = 64
"""Rows of logits start at multiples of this many elements; cuBLAS runs at a fraction of its speed on odd strides."""


def chunk_rows(columns: int, itemsize: int) -> int:
    """Tokens whose logits fill a chunk: a multiple of 128, the height of a matrix product's tile, where it can be."""
    rows = CHUNK_BYTES // (-(-columns // ALIGN) * ALIGN * itemsize)
    return max(rows // 128 * 128, min(rows, 128), 1)


@torch.library.custom_op("kernels::linear_cross_entropy", mutates_args=())
def loss_and_gradients(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, ignore_index: int, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the summed loss and its gradients for (hidden, weight, bias), empty where not wanted.

    Per chunk of tokens: logits X = H W^T + b, loss and G = softmax(X) - onehot over X in place, then
    dH = G W, dW += G^T H, db += sum G. The last two add up chunk by chunk, dW in the weight's precision.
    """
    from kernels.linear_cross_entropy.kernel import softmax_gradient

    tokens, columns = hidden.shape[0], weight.shape[0]
    height = min(chunk_rows(columns, hidden.element_size()), tokens)
    scratch = hidden.new_empty(height, -(-columns // ALIGN) * ALIGN)[:, :columns]
    losses = hidden.new_empty(tokens, dtype=torch.float32)
    d_hidden, d_weight, d_bias = _gradients(hidden, weight, bias, wanted)
    for start in range(0, tokens, height):
        h, stop = hidden[start : start + height], min(start + height, tokens)
        logits = scratch[: len(h)]
        if bias is None:
            torch.mm(h, weight.T, out=logits)
        else:
            torch.addmm(bias, h, weight.T, out=logits)
        softmax_gradient(logits, target[start:stop], losses[start:stop], ignore_index, gradient=any(wanted))
        if wanted[0]:
            torch.mm(logits, weight, out=d_hidden[start:stop])
        if wanted[1]:
            d_weight.addmm_(logits.T, h, beta=float(start > 0))
        if wanted[2]:
            d_bias += logits.sum(0, dtype=torch.float32)
    return losses.sum(), d_hidden, d_weight, d_bias


def _gradients(hidden: Tensor, weight: Tensor, bias: Tensor | None, wanted: list[bool]) -> tuple[Tensor, ...]:
    """Return room for each gradient. The bias's is small, and adds up in float32."""
    nothing = hidden.new_empty(0)
    return (
        torch.empty_like(hidden) if wanted[0] else nothing,
        torch.empty_like(weight) if wanted[1] else nothing.clone(),
        torch.zeros_like(bias, dtype=torch.float32) if wanted[2] and bias is not None else nothing.float().clone(),
    )


@loss_and_gradients.register_fake
def _(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, ignore_index: int, wanted: list[bool]
) -> tuple[Tensor, ...]:
    scratch_rows = min(chunk_rows(weight.shape[0], hidden.element_size()), hidden.shape[0])
    hidden.new_empty(scratch_rows, weight.shape[0])  # a prediction of memory sees the chunk of logits
    return hidden.new_empty((), dtype=torch.float32), *_gradients(hidden, weight, bias, wanted)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, *gradients = output
    ctx.mark_non_differentiable(*gradients)
    ctx.set_materialize_grads(False)  # of the above there are none, not even zeros
    ctx.save_for_backward(*gradients)
    ctx.wanted, ctx.dtype = inputs[5], inputs[0].dtype


def _backward(ctx: Any, d_loss: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    """Scale the gradients in place: a copy of the weight's would double the memory."""
    scaled = [g.mul_(d_loss).to(ctx.dtype) if w else None for g, w in zip(ctx.saved_tensors, ctx.wanted, strict=True)]
    return (*scaled, None, None, None)


loss_and_gradients.register_autograd(_backward, setup_context=_setup)
