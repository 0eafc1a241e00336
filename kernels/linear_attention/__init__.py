"""Normalised linear attention, also between the tangent spaces of a Poincaré ball."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from kernels.dispatch import implementation
from kernels.linear_attention import reference
from kernels.linear_attention.reference import State as State


def linear_attention(
    q: Float[Tensor, "*B N D"],
    k: Float[Tensor, "*B N D"],
    v: Float[Tensor, "*B N E"],
    *,
    causal: bool = False,
    feature: str | None = None,
    curvature: Float[Tensor, ""] | float | None = None,
) -> Float[Tensor, "*B N E"]:
    r"""Attention whose weights are inner products of positive features.

    .. math:: o_n = \frac{\phi(q_n)^\top S_n}{\phi(q_n)^\top z_n}, \quad
              S_n = \sum_{m} \phi(k_m) v_m^\top, \quad z_n = \sum_{m} \phi(k_m)

    with the sums over all `m`, or over `m <= n` when `causal`.

    Parameters
    ----------
    q, k
        Features, positive so that the normaliser cannot vanish; or anything with ``feature="elu"``.
        Features that all underflow to zero divide zero by zero and give NaN, as the definition does.
    v
        Values.
    causal
        Whether a token sees only itself and the tokens before it.
    feature
        The map phi: "elu" for elu(x) + 1, None if q and k are features already.
    curvature
        c > 0 if q, k and v are points of the Poincaré ball of curvature -c: they are taken to its tangent space at
        the origin, :math:`\log_0 x = \frac{\operatorname{artanh}(\sqrt c |x|)}{\sqrt c |x|} x`, before all else, and
        the output comes back by :math:`\exp_0`. A point outside the ball gives NaN. c gets a gradient.

    Returns
    -------
    The weighted mean of the values, in O(N D E) operations and O(N (D + E) + D E) memory.

    Raises
    ------
    ValueError
        An unknown feature map.

    References
    ----------
    Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    return _attend(q, k, v, None, causal=causal, feature=feature, curvature=curvature)[0]


def linear_attention_step(
    q: Float[Tensor, "*B N D"],
    k: Float[Tensor, "*B N D"],
    v: Float[Tensor, "*B N E"],
    state: State | None = None,
    *,
    feature: str | None = None,
    curvature: Float[Tensor, ""] | float | None = None,
) -> tuple[Float[Tensor, "*B N E"], State]:
    """Causal `linear_attention` of the tokens that follow `state`, and the state after them: decoding.

    The state is what a sequence of any length has left: the sums of phi(k) v^T and of phi(k), in float32 where the
    inputs have less. It carries no gradient.
    """
    return _attend(q, k, v, state, causal=True, feature=feature, curvature=curvature)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: State | None,
    *,
    causal: bool,
    feature: str | None,
    curvature: Tensor | float | None,
) -> tuple[Tensor, State]:
    if feature not in {None, "elu"}:
        raise ValueError(f"linear_attention: feature must be 'elu' or None, got {feature!r}")
    if curvature is not None:
        precise = torch.promote_types(q.dtype, torch.float32)
        curvature = torch.as_tensor(curvature, dtype=precise, device=q.device)
    elu = feature == "elu"
    if implementation(q) == "reference":
        out, last = reference.linear_attention(q, k, v, causal=causal, elu=elu, curvature=curvature, state=state)
        return out, (last[0].detach(), last[1].detach())
    from kernels.linear_attention import autograd

    batch, width, depth = q.shape[:-2], q.shape[-1], v.shape[-1]
    if state is None:
        sums, weight = (q.new_empty(0, dtype=torch.float32) for _ in range(2))
    else:
        sums, weight = (x.detach().float().contiguous() for x in state)
        sums, weight = sums.reshape(-1, width, depth), weight.reshape(-1, width)
    out, *_, sums, weight = autograd.linear_attention(
        *(_four(x) for x in (q, k, v)),
        q.new_empty((), dtype=torch.float32) if curvature is None else curvature,
        sums,
        weight,
        causal=causal,
        elu=feature == "elu",
        log=curvature is not None,
    )
    return out.reshape(*batch, -1, depth), (sums.reshape(*batch, width, depth), weight.reshape(*batch, width))


def _four(x: Tensor) -> Tensor:
    """Return x as (B, H, N, D) with unit last stride; no copy of heads that were transposed out of a projection."""
    if x.ndim != 4:
        x = x.reshape(1, -1, *x.shape[-2:])
    return x if x.stride(-1) == 1 else x.contiguous()
