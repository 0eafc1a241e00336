"""An embedding table kept as two tensor-train cores: look-up, and logits through the same cores."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kernels.dispatch import implementation
from kernels.tensor_train import autograd, reference

WIDEST = 128
"""Columns of a core up to which a token's tile of hidden states is kept on chip."""


def tensor_train(
    index: Int[Tensor, "*T"],
    core1: Float[Tensor, "v1 r d1"],
    core2: Float[Tensor, "v2 r d2"],
    phase: Float[Tensor, " r"],
    width: int,
) -> Float[Tensor, "*T d"]:
    r"""Look up rows of a table that is never built.

    .. math:: E[t, (p, q)] = \sum_\rho \cos\theta_\rho \, C_1[i_1, \rho, p] \, C_2[i_2, \rho, q],
              \quad i_1 = \lfloor t / v_2 \rfloor, \; i_2 = t \bmod v_2

    Parameters
    ----------
    index
        Tokens, int32 or int64, at least 0 and below v1 v2. Any other raises IndexError on the definition's path;
        a kernel cannot stop, and gives a row of NaN.
    core1, core2
        C_1 and C_2, of rank r.
    phase
        theta, in radians.
    width
        d, at most d1 d2: the row, p major, is cropped to it.

    Returns
    -------
    The embeddings. Gradients for cores and phase are exact; the kernel adds them up in float32 by atomics, so that
    their last digits depend on the order in which tokens arrive.

    Raises
    ------
    ValueError
        If dtypes differ, `index` holds no integers of these types, or `width` does not fit.

    References
    ----------
    Yin et al., "TT-Rec: tensor train compression for deep learning recommendation models", MLSys 2021.
    """
    _check(core1, core2, phase, width)
    if index.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"tensor_train: index is {index.dtype}; allowed are torch.int32 and torch.int64")
    if implementation(core1) == "reference":
        return reference.tensor_train(index, core1, core2, phase, width)
    return autograd.tensor_train(index, core1, core2, phase, width)


def tensor_train_logits(
    hidden: Float[Tensor, "*T d"],
    core1: Float[Tensor, "v1 r d1"],
    core2: Float[Tensor, "v2 r d2"],
    phase: Float[Tensor, " r"],
    vocabulary: int,
) -> Float[Tensor, "*T V"]:
    """Inner products of hidden states with the first `vocabulary` rows of the same table, which is never built.

    v1 r d2 (d1 + v2) multiplications a token instead of V d, and in the backward pass as many again for each of hidden
    states and cores. Kernels run in half precision, with every input of one dtype and cores at most 128 wide; their
    rows of logits start at multiples of 64 elements, and so are not contiguous unless v1 v2 is one. The definition
    runs everywhere else.

    Raises
    ------
    ValueError
        If dtypes differ, or the width of `hidden` or `vocabulary` does not fit.
    """
    _check(core1, core2, phase, hidden.shape[-1])
    (v1, _, d1), (v2, _, d2) = core1.shape, core2.shape
    if not 1 <= vocabulary <= v1 * v2:
        raise ValueError(f"tensor_train: vocabulary is {vocabulary}; the cores allow 1 to {v1 * v2}")
    half = hidden.dtype == core1.dtype and hidden.dtype in (torch.bfloat16, torch.float16)
    if implementation(hidden) == "reference" or not half or max(d1, d2) > WIDEST:
        return reference.tensor_train_logits(hidden, core1, core2, phase, vocabulary)
    scaled = (core1 * phase.cos()[:, None])[: -(-vocabulary // v2)]
    logits = autograd.logits(hidden.reshape(-1, hidden.shape[-1]), scaled, core2, vocabulary)
    return logits.reshape(*hidden.shape[:-1], vocabulary)


def _check(core1: Tensor, core2: Tensor, phase: Tensor, width: int) -> None:
    if not core1.dtype == core2.dtype == phase.dtype:
        raise ValueError(f"tensor_train: dtypes differ: {core1.dtype}, {core2.dtype} and {phase.dtype}")
    most = core1.shape[-1] * core2.shape[-1]
    if not 1 <= width <= most:
        raise ValueError(f"tensor_train: width is {width}; the cores allow 1 to {most}")
