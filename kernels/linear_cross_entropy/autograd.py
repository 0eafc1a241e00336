"""The summed loss as one operator that forms its gradients on the way forward, a chunk of tokens at a time."""

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 50 << 20
"""Logits that exist at once: as many as an H100's L2 holds, and 64 MiB with cuBLAS's workspace and the losses."""

LEAST = 1024
"""Bytes of a chunk's column at least, 512 tokens in half precision: each chunk reads W twice, and reads and writes its
gradient, which takes longer than the products of fewer tokens. So chunks of more than 51,200 columns are larger."""

ALIGN = 64
"""Rows of logits start at multiples of this many elements; cuBLAS runs at a fraction of its speed on odd strides."""

EVEN = 16
"""Bytes of logits that a product takes a multiple of. The few columns beyond have thin products of their own.

cuBLAS runs at a fraction of its speed on odd sizes, too. Measured on an H100 with 512 tokens of 4,096 channels in
bfloat16, TFLOP/s with 50,257 columns and with an even number: logits 110 and 789, gradient of the hidden states 129 and
771, gradient of the weight 313 and 474.
"""


def chunk_rows(columns: int, itemsize: int) -> int:
    """Tokens whose logits fill a chunk: a multiple of 128, the height of a matrix product's tile."""
    rows = CHUNK_BYTES // (-(-columns // ALIGN) * ALIGN * itemsize)
    return max(rows // 128 * 128, LEAST // itemsize)


def parts(columns: int, itemsize: int) -> list[slice]:
    """The columns beyond the last multiple of EVEN bytes, then the others; without a part that would be empty."""
    even = columns - columns % (EVEN // itemsize)
    return [part for part in (slice(even, columns), slice(0, even)) if part.start < part.stop]


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
    split = parts(columns, hidden.element_size())
    height = min(chunk_rows(columns, hidden.element_size()), tokens)
    scratch, sums = _scratch(hidden, height, columns, wanted)
    losses = hidden.new_empty(tokens, dtype=torch.float32)
    d_hidden, d_weight, d_bias = _gradients(hidden, weight, bias, wanted)
    for start in range(0, tokens, height):
        h, stop = hidden[start : start + height], min(start + height, tokens)
        logits = scratch[: len(h), :columns]
        _form_logits(h, weight, bias, split, logits)
        softmax_gradient(logits, target[start:stop], losses[start:stop], ignore_index, gradient=any(wanted))
        if wanted[0]:
            _times_weight(logits, weight, split, sums, d_hidden[start:stop])
        if wanted[1]:
            for part in split:
                d_weight[part].addmm_(logits[:, part].T, h, beta=float(start > 0))
        if wanted[2]:
            d_bias += logits.sum(0, dtype=torch.float32)
    return losses.sum(), d_hidden, d_weight, d_bias


def _form_logits(h: Tensor, weight: Tensor, bias: Tensor | None, split: list[slice], logits: Tensor) -> None:
    """Write X = H W^T + b."""
    for part in split:
        if bias is None:
            torch.mm(h, weight[part].T, out=logits[:, part])
        else:
            torch.addmm(bias[part], h, weight[part].T, out=logits[:, part])


def _times_weight(g: Tensor, weight: Tensor, split: list[slice], sums: Tensor, d_hidden: Tensor) -> None:
    """Write dH = G W. The few columns come first: what they add is small, and so is the rounding between the products.

    Given room for float32 sums, the large product has them: cuBLAS divides its 50,000 terms, and adds up the parts in
    the output's type where they do not fit its workspace. In float16 that erred 6.5 times as much as the definition.
    """
    *few, most = split
    for part in few:
        torch.mm(g[:, part], weight[part], out=d_hidden)
    if not len(sums):
        d_hidden.addmm_(g[:, most], weight[most], beta=float(len(few)))
        return
    sums = torch.mm(g[:, most], weight[most], out_dtype=torch.float32, out=sums[: len(g)])
    d_hidden.copy_(sums.add_(d_hidden) if few else sums)


def _scratch(hidden: Tensor, height: int, columns: int, wanted: list[bool]) -> tuple[Tensor, Tensor]:
    """Return room for a chunk's logits, and in float16 for the float32 sums of its dH; a CPU has no such product."""
    exact = wanted[0] and hidden.is_cuda and hidden.dtype == torch.float16
    sums = hidden.new_empty(height if exact else 0, hidden.shape[1], dtype=torch.float32)
    return hidden.new_empty(height, -(-columns // ALIGN) * ALIGN), sums


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
    height = min(chunk_rows(weight.shape[0], hidden.element_size()), hidden.shape[0])
    _scratch(hidden, height, weight.shape[0], wanted)  # a prediction of memory sees it
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
