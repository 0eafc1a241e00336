"""The Triton look-up and logits as operators that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor

from kernels.tensor_train import sizes


@torch.library.custom_op("kernels::tensor_train", mutates_args=())
def tensor_train(index: Tensor, core1: Tensor, core2: Tensor, phase: Tensor, width: int) -> Tensor:
    """Embeddings."""
    from kernels.tensor_train import launch

    return launch.forward(index.contiguous(), core1.contiguous(), core2.contiguous(), phase.contiguous(), width)


@tensor_train.register_fake
def _(index: Tensor, core1: Tensor, core2: Tensor, phase: Tensor, width: int) -> Tensor:
    return core1.new_empty((*index.shape, width))


@torch.library.custom_op("kernels::tensor_train_backward", mutates_args=())
def tensor_train_backward(
    g: Tensor, index: Tensor, core1: Tensor, core2: Tensor, phase: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of cores and phases."""
    from kernels.tensor_train import launch

    index, core1, core2, phase = index.contiguous(), core1.contiguous(), core2.contiguous(), phase.contiguous()
    return launch.backward(g.contiguous(), index, core1, core2, phase, sizes.of_lookup(index, core1, core2))


@tensor_train_backward.register_fake
def _(g: Tensor, index: Tensor, core1: Tensor, core2: Tensor, phase: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _kept = sizes.of_lookup(index, core1, core2)  # a prediction of memory sees it
    return core1.new_empty(core1.shape), core2.new_empty(core2.shape), phase.new_empty(phase.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])


def _gradients(ctx: Any, g: Tensor) -> tuple[None, Tensor, Tensor, Tensor, None]:
    return None, *tensor_train_backward(g, *ctx.saved_tensors), None


tensor_train.register_autograd(_gradients, setup_context=_keep)


@torch.library.custom_op("kernels::tensor_train_logits", mutates_args=())
def logits(hidden: Tensor, core1: Tensor, core2: Tensor, vocabulary: int) -> Tensor:
    """Logits of hidden states (T, d); the phases are already in `core1`, and `vocabulary` cuts its last row only."""
    from kernels.tensor_train import launch

    out = sizes.rows(len(hidden), len(core1) * len(core2), hidden)
    launch.logits(hidden.contiguous(), core1.contiguous(), core2.contiguous(), out)
    return out[:, :vocabulary]


@logits.register_fake
def _(hidden: Tensor, core1: Tensor, core2: Tensor, vocabulary: int) -> Tensor:
    return sizes.rows(hidden.shape[0], core1.shape[0] * core2.shape[0], hidden)[:, :vocabulary]


@torch.library.custom_op("kernels::tensor_train_logits_backward", mutates_args=())
def logits_backward(g: Tensor, hidden: Tensor, core1: Tensor, core2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of hidden states and cores, a chunk of tokens at a time: rows of `g` are copied to where they align."""
    from kernels.tensor_train import launch

    hidden, core1, core2 = hidden.contiguous(), core1.contiguous(), core2.contiguous()
    chunk, sums, dhidden = _room(hidden, core1, core2)
    chunk.zero_()
    for start in range(0, len(g), len(chunk)):
        rows = slice(start, start + len(chunk))
        part = chunk[: len(g[rows])]
        _lay_out(g[rows], part[..., : len(core2)])
        launch.logits_backward(part, hidden[rows], core1, core2, dhidden[rows], sums)
    return dhidden, sums[0].sum(0).to(core1.dtype), sums[1].sum(0).to(core1.dtype)


def _room(hidden: Tensor, core1: Tensor, core2: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Return room for a chunk's rows, for the sums of the cores' gradients, and for the hidden states' gradient."""
    tokens, v1 = min(sizes.ROWS, max(hidden.shape[0], 1)), core1.shape[0]
    chunk = sizes.rows(tokens * v1, core2.shape[0], hidden).unflatten(0, (tokens, v1))
    return chunk, (sizes.parts(core1), sizes.parts(core2)), hidden.new_empty(hidden.shape)


def _lay_out(rows: Tensor, to: Tensor) -> None:
    """Copy rows (T, V) to where each i1 has a row of its own, (T, v1, v2); the last may be shorter."""
    whole, rest = divmod(rows.shape[1], to.shape[2])
    to[:, :whole] = rows[:, : whole * to.shape[2]].unflatten(1, (whole, -1))
    if rest:
        to[:, whole, :rest] = rows[:, -rest:]


@logits_backward.register_fake
def _(g: Tensor, hidden: Tensor, core1: Tensor, core2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _chunk, sums, dhidden = _room(hidden, core1, core2)
    return dhidden, sums[0].sum(0).to(core1.dtype), sums[1].sum(0).to(core1.dtype)


def _keep_logits(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _gradients_of_logits(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    return *logits_backward(g, *ctx.saved_tensors), None


logits.register_autograd(_gradients_of_logits, setup_context=_keep_logits)
