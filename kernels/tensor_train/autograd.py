"""The Triton look-up as an operator that fake tensors, `torch.compile` and autograd see through."""

from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("kernels::tensor_train", mutates_args=())
def tensor_train(index: Tensor, core1: Tensor, core2: Tensor, width: int) -> Tensor:
    """Embeddings whose phases are already in `core1`."""
    from kernels.tensor_train import kernel

    return kernel.forward(index.contiguous(), core1.contiguous(), core2.contiguous(), width)


@tensor_train.register_fake
def _(index: Tensor, core1: Tensor, core2: Tensor, width: int) -> Tensor:
    return core1.new_empty((*index.shape, width))


@torch.library.custom_op("kernels::tensor_train_backward", mutates_args=())
def tensor_train_backward(g: Tensor, index: Tensor, core1: Tensor, core2: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the cores."""
    from kernels.tensor_train import kernel

    return kernel.backward(g.contiguous(), index.contiguous(), core1.contiguous(), core2.contiguous())


@tensor_train_backward.register_fake
def _(g: Tensor, index: Tensor, core1: Tensor, core2: Tensor) -> tuple[Tensor, Tensor]:
    return core1.new_empty(core1.shape), core2.new_empty(core2.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _gradients(ctx: Any, g: Tensor) -> tuple[None, Tensor, Tensor, None]:
    return None, *tensor_train_backward(g, *ctx.saved_tensors), None


tensor_train.register_autograd(_gradients, setup_context=_keep)
