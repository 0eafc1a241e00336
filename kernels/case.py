"""A size at which an operator is checked and timed, and what it must agree with.

The tolerance of every operator is the same rule: in each output and each gradient, the kernel may err at most
`k` times as much as the definition does in the same precision. Truth is the definition in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

WIDE = {torch.complex64: torch.complex128}
"""The exact type of a complex input; that of any other is float64."""


class Work(NamedTuple):
    """What a pass cannot do without."""

    flops: int
    """Floating-point operations."""
    bytes: int
    """Bytes that cross the memory bus if each input is read once and each output written once."""


@dataclass(frozen=True)
class Case:
    """One input family of an operator."""

    name: str
    """Its sizes, as a benchmark's table prints them."""
    make_inputs: Callable[[torch.device | str, torch.dtype, int], dict[str, Any]]
    """Device, dtype and seed to the operator's arguments by name; gradients are wanted for the floating ones."""
    forward: Callable[[torch.dtype], Work]
    """The work of one forward pass in a dtype."""
    backward: Callable[[torch.dtype], Work]
    """The work of one backward pass in a dtype, the forward pass not counted."""
    k: float
    """How many times the definition's own error a kernel's may be."""
    why: str
    """The reason for `k`."""


def excess(got: Tensor, plain: Tensor, exact: Tensor) -> float:
    """Return the largest error of `got` as a multiple of that of `plain`, both against `exact`.

    The error of `plain` counts as at least one rounding of its largest element, which storing alone costs.
    NaN where `got` has a NaN, so that no bound holds.
    """
    if got.shape != exact.shape or got.dtype != plain.dtype:
        raise ValueError(f"{got.dtype} {tuple(got.shape)} cannot stand for {plain.dtype} {tuple(exact.shape)}")
    if not exact.numel():
        return 0.0
    error, own = (float((x.to(exact.dtype) - exact).abs().max()) for x in (got, plain))
    unit = max(own, float(exact.abs().max()) * torch.finfo(got.dtype).eps)
    if error == 0:
        return 0.0
    return error / unit if unit else math.inf


def excesses(
    operator: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: Mapping[str, Any],
    seed: int = 0,
    *,
    backward: bool = True,
) -> dict[str, float]:
    """Return the `excess` of each output ("out0", ...) and of each gradient ("d" and the input's name).

    `operator` and `reference` take `inputs` by name; every floating or complex tensor among them is differentiated,
    unless only the forward pass is wanted.
    """
    got, plain = (_results(f, inputs, seed, backward=backward) for f in (operator, reference))
    exact = _results(reference, inputs, seed, backward=backward, exactly=True)
    return {name: excess(got[name], plain[name], exact[name]) for name in exact}


def _results(
    f: Callable[..., Any], inputs: Mapping[str, Any], seed: int, *, backward: bool, exactly: bool = False
) -> dict[str, Tensor]:
    given = {name: _leaf(x, exactly=exactly) for name, x in inputs.items()}
    with torch.set_grad_enabled(backward):
        outputs = f(**given)
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    found = {f"out{i}": out.detach() for i, out in enumerate(outputs)}
    if not backward:
        return found
    leaves = {name: x for name, x in given.items() if isinstance(x, Tensor) and x.requires_grad}
    random = torch.Generator(outputs[0].device).manual_seed(seed)
    directions = [_direction(out, random) for out in outputs]
    gradients = torch.autograd.grad(outputs, list(leaves.values()), directions, materialize_grads=True)
    return found | {f"d{name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}


def _leaf(x: Any, *, exactly: bool) -> Any:
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
        return x
    leaf = x.detach()
    if exactly:
        leaf = leaf.to(WIDE.get(x.dtype, torch.float64))
    return leaf.requires_grad_()


def _direction(out: Tensor, random: torch.Generator) -> Tensor:
    """Random numbers that every precision holds exactly, so that all three formulations are sent the same."""
    parts = torch.randn(*out.shape, 2, generator=random, device=out.device).to(torch.bfloat16).float()
    direction = torch.view_as_complex(parts) if out.is_complex() else parts[..., 0]
    return direction.to(out.dtype)
