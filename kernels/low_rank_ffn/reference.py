"""The factored feed-forward network as its definition states it, in plain PyTorch: the hidden layer is formed."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}
"""GELU is the exact one, x Phi(x)."""


def low_rank_ffn(
    x: Float[Tensor, "*T d"],
    down: Float[Tensor, "r d"],
    expand: Float[Tensor, "f r"],
    contract: Float[Tensor, "r f"],
    up: Float[Tensor, "d r"],
    *,
    activation: str = "gelu",
    at_rank: str | None = None,
) -> Float[Tensor, "*T d"]:
    """Return up s(contract act(expand s(down x))), with s the activation at rank r, or nothing."""
    z = activated(F.linear(x, down), at_rank)
    return F.linear(activated(hidden_map(z, expand, contract, activation=activation), at_rank), up)


def hidden_map(
    z: Float[Tensor, "*T r"], expand: Float[Tensor, "f r"], contract: Float[Tensor, "r f"], *, activation: str
) -> Float[Tensor, "*T r"]:
    """Return contract act(expand z)."""
    return F.linear(ACTIVATIONS[activation](F.linear(z, expand)), contract)


def activated(x: Float[Tensor, "*T r"], name: str | None) -> Float[Tensor, "*T r"]:
    """Return the activation of x, or x."""
    return x if name is None else ACTIVATIONS[name](x)
