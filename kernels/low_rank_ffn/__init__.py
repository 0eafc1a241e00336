"""A feed-forward network of four thin maps, d -> r -> f -> r -> d, whose f hidden features never exist all at once."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import implementation
from kernels.low_rank_ffn import reference


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
    r"""Feed-forward network with both of its maps factored.

    .. math:: y = U \, s\bigl( C \, \sigma( E \, s(D x) ) \bigr)

    Parameters
    ----------
    x
        Tokens.
    down, expand, contract, up
        D, E, C and U. Without `at_rank`, E D and U C are rank-r factors of a dense network's two maps.
    activation
        The hidden activation, :math:`\sigma`: "relu", or "gelu", exactly :math:`x \Phi(x)`.
    at_rank
        The activation s at both ranks, or None.

    Returns
    -------
    The network's output. At ranks up to 128 one kernel runs E, the activation and C; else they take a slice of
    tokens at a time, whose hidden layer has at most 128 MiB. For more than 128 tokens and at ranks up to 512 nothing
    of size f is kept for the backward pass, which computes it again in slices; above, the definition runs where
    gradients are wanted, for keeping the hidden layer is then faster.

    Raises
    ------
    ValueError
        Maps whose sizes do not chain, or an unknown activation.
    """
    _check(x, down, expand, contract, up, activation, at_rank)
    if implementation(x) == "reference":
        return reference.low_rank_ffn(x, down, expand, contract, up, activation=activation, at_rank=at_rank)
    from kernels.low_rank_ffn import autograd

    z = reference.activated(F.linear(x, down), at_rank)
    # Under autocast z has the precision of F.linear, and the maps between must have it too.
    maps = [w.to(z.dtype) for w in (expand, contract)]
    if z.numel() <= autograd.FEW * z.shape[-1] or autograd.kept(z, *maps):
        middle = reference.hidden_map(z, *maps, activation=activation)
    else:
        maps = [w if w.stride(-1) == 1 else w.contiguous() for w in maps]
        middle = autograd.hidden_map(z.reshape(-1, z.shape[-1]), *maps, gelu=activation == "gelu")
    return F.linear(reference.activated(middle.reshape(z.shape), at_rank), up)


def _check(
    x: Tensor, down: Tensor, expand: Tensor, contract: Tensor, up: Tensor, activation: str, at_rank: str | None
) -> None:
    (rank, width), features = down.shape, expand.shape[0]
    want = {"x": width, "expand": (features, rank), "contract": (rank, features), "up": (width, rank)}
    have = {"x": x.shape[-1], "expand": expand.shape, "contract": contract.shape, "up": up.shape}
    for name, size in want.items():
        if have[name] != size:
            raise ValueError(f"low_rank_ffn: {name} has size {have[name]}, the other maps ask for {size}")
    for asked in {activation, at_rank} - {None}:
        if asked not in reference.ACTIVATIONS:
            raise ValueError(f"low_rank_ffn: activation must be one of {sorted(reference.ACTIVATIONS)}, got {asked!r}")
