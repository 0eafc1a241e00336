"""Optimizers by name, as their memory is: what each keeps per parameter, and whether gradients outlive their use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adafactor, AdamW, Optimizer

from muse.errors import UsageError


class AdamW8bit(Optimizer):
    r"""AdamW whose two moments are stored in one byte each, with one float32 scale per block of 256.

    The first moment is stored as :math:`\operatorname{round}(127\, m / \max|m|)`, of the second its root as
    :math:`\operatorname{round}(255 \sqrt{v / \max v})`. Memory: 2 + 8 / 256 bytes per parameter. Parameters are
    updated in slices, so that the float32 temporaries do not grow with them.

    References
    ----------
    Dettmers et al., "8-bit Optimizers via Block-wise Quantization", ICLR 2022; theirs maps to a dynamic tree of
    values where this one is linear.
    """

    BLOCK = 256
    SLICE = 2**22

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            blocks = -(-parameter.numel() // self.BLOCK)
            state["step"] = 0
            state["mean"] = parameter.new_zeros(blocks, self.BLOCK, dtype=torch.int8)
            state["root"] = parameter.new_zeros(blocks, self.BLOCK, dtype=torch.uint8)
            state["mean_scale"] = parameter.new_zeros(blocks, 1, dtype=torch.float32)
            state["root_scale"] = parameter.new_zeros(blocks, 1, dtype=torch.float32)
        state["step"] += 1
        flat, slope = parameter.reshape(-1), gradient.reshape(-1)
        chosen = {name: group[name] for name in self.defaults}
        for start in range(0, len(flat), self.SLICE):
            rows = slice(start // self.BLOCK, -(-min(start + self.SLICE, len(flat)) // self.BLOCK))
            moments = {name: state[name][rows] for name in ("mean", "root", "mean_scale", "root_scale")}
            self.update_slice(
                flat[start : start + self.SLICE], slope[start : start + self.SLICE], moments, state["step"], chosen
            )
        if not parameter.is_contiguous():  # then `flat` is a copy
            parameter.copy_(flat.view_as(parameter))

    def update_slice(
        self, weights: Tensor, slope: Tensor, moments: dict[str, Tensor], step: int, chosen: dict[str, Any]
    ) -> None:
        """Update a part of a parameter; which operations it takes follows from the tensors' shapes."""
        low, high = chosen["betas"]
        g = slope.new_zeros(moments["mean"].shape, dtype=torch.float32)
        g.view(-1)[: len(slope)] = slope
        m = moments["mean"] * (moments["mean_scale"] / 127)
        m.lerp_(g, 1 - low)
        v = (moments["root"] * (moments["root_scale"] / 255)).square_()
        v.lerp_(g.square_(), 1 - high)
        root = v.sqrt_()
        for stored, value, scale, top in (("mean", m, "mean_scale", 127), ("root", root, "root_scale", 255)):
            largest = value.abs().amax(1, keepdim=True)
            moments[scale].copy_(largest)
            moments[stored].copy_((value / (largest / top).clamp(min=torch.finfo(torch.float32).tiny)).round_())
        moments["root"].clamp_(min=1)  # a root of nothing would leave the mean divided by eps alone
        m.div_(1 - low**step)
        root.div_((1 - high**step) ** 0.5).add_(chosen["eps"])
        change = m.div_(root).view(-1)[: len(weights)]
        weights.mul_(1 - chosen["lr"] * chosen["weight_decay"]).add_(change.to(weights.dtype), alpha=-chosen["lr"])


EPSILON = 1e-4
"""What AdamW adds to its divisor, as a number that float16 holds: PyTorch's 1e-8 is zero there, and one step leaves no
finite weight of a network in half precision, which may then take another way through its own code."""
MAKERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": partial(SGD, lr=1e-4, foreach=False),
    "adamw": partial(AdamW, lr=1e-4, eps=EPSILON, foreach=False),
    "adamw8bit": partial(AdamW8bit, lr=1e-4, eps=EPSILON),
    "adafactor": partial(Adafactor, lr=1e-4, foreach=False),
}
"""Without batched updates, so that the temporaries are one parameter's on every device."""

OPTIMIZERS = ("none", *MAKERS, *(f"{name}_in_backward" for name in MAKERS))
"""`none` is a forward and a backward pass alone. In backward, every parameter is updated as soon as its gradient is
there, and the gradient is dropped."""


class Updates:
    """The optimizer `name` of a model: `step` after the backward pass, and what it keeps."""

    def __init__(self, name: str, parameters: Iterable[Parameter]) -> None:
        if name not in OPTIMIZERS:
            raise UsageError(f"unknown optimizer {name!r}; allowed are {', '.join(OPTIMIZERS)}")
        plain = name.removesuffix("_in_backward")
        parameters = list(parameters)
        self.optimizers: list[Optimizer] = []
        if name in MAKERS:
            self.optimizers = [MAKERS[name](parameters)]
        elif plain in MAKERS:
            for parameter in parameters:
                self.optimizers.append(MAKERS[plain]([parameter]))
                parameter.register_post_accumulate_grad_hook(partial(_update_now, self.optimizers[-1]))
        self.keeps_gradients = name == plain
        """Whether all gradients are there at once."""

    def step(self) -> None:
        """Update what the backward pass has not."""
        if self.keeps_gradients:
            for optimizer in self.optimizers:
                optimizer.step()

    def state(self) -> list[Tensor]:
        """Every tensor that is kept between steps; what counts the steps is not among them."""
        return [kept for name, kept in self._kept() if name != "step"]

    def counts(self) -> list[Tensor]:
        """The scalars that count the steps, which stay on the CPU; an optimizer may count in numbers instead."""
        return [kept for name, kept in self._kept() if name == "step" and isinstance(kept, Tensor)]

    def _kept(self) -> Iterator[tuple[str, Any]]:
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                yield from state.items()


def _update_now(optimizer: Optimizer, parameter: Tensor) -> None:
    optimizer.step()
    parameter.grad = None
