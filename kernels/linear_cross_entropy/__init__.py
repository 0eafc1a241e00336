"""Cross-entropy of a linear head, without ever holding the logits."""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import implementation
from kernels.linear_cross_entropy import reference


def linear_cross_entropy(
    hidden: Float[Tensor, "*T d"],
    weight: Float[Tensor, "V r"],
    target: Integer[Tensor, "*T"],
    *,
    bias: Float[Tensor, " V"] | None = None,
    down: Float[Tensor, "r d"] | None = None,
    ignore_index: int = -100,
) -> Float[Tensor, ""]:
    r"""Mean next-token loss of a dense head, or of a low-rank one.

    .. math:: L = \frac{1}{n} \sum_{t\,:\,y_t \neq \mathrm{ignore}}
              \Bigl( \log \sum_j e^{x_{tj}} - x_{t y_t} \Bigr), \qquad x_t = W h_t + b

    Parameters
    ----------
    hidden
        Hidden states, of the weight's width r, or of any width d with `down`.
    weight, bias
        W and b. An entry -inf of b rules its token out.
    target
        y, one vocabulary index per hidden state: for the next token pass ``hidden[:, :-1]`` and ``ids[:, 1:]``.
    down
        A of a low-rank head: h = A hidden, with r the rank.
    ignore_index
        Targets that count neither in the sum nor in n. If no target is left, the loss is 0/0, NaN.

    Returns
    -------
    The loss in nats; in float32 where the inputs have less. The kernel forms all gradients on the way forward and
    scales them in place on the way back, so its backward pass runs once. In float16 the gradient of the *sum* over
    tokens must stay below 65,504.

    Raises
    ------
    ValueError
        Sizes or dtypes that do not fit together.
    IndexError
        A target outside 0..V-1, on the reference path; the kernel cannot raise, and its loss is NaN.
    """
    _check(hidden, weight, target, bias, down)
    if implementation(hidden) == "reference":
        return reference.linear_cross_entropy(hidden, weight, target, bias=bias, down=down, ignore_index=ignore_index)
    from kernels.linear_cross_entropy.autograd import loss_and_gradients

    h = (hidden if down is None else F.linear(hidden, down)).reshape(-1, weight.shape[1])
    wanted = [torch.is_grad_enabled() and x is not None and x.requires_grad for x in (h, weight, bias)]
    aims = target.flatten()
    total, *_ = loss_and_gradients(h, weight, bias, aims, ignore_index, wanted)
    return total / (aims != ignore_index).sum()


def _check(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None, down: Tensor | None) -> None:
    width, rank = (weight.shape[1],) * 2 if down is None else (down.shape[1], down.shape[0])
    if hidden.shape[-1] != width or weight.shape[1] != rank:
        raise ValueError(
            f"linear_cross_entropy: hidden {tuple(hidden.shape)} does not fit weight {tuple(weight.shape)}"
            + ("" if down is None else f" behind down {tuple(down.shape)}")
        )
    if target.shape != hidden.shape[:-1] or target.is_floating_point():
        raise ValueError(
            f"linear_cross_entropy: target must be integers of shape {tuple(hidden.shape[:-1])}, "
            f"got {target.dtype} {tuple(target.shape)}"
        )
    if len(dtypes := {x.dtype for x in (hidden, weight, bias, down) if x is not None}) > 1:
        raise ValueError(f"linear_cross_entropy: all tensors must share one dtype, got {sorted(map(str, dtypes))}")
