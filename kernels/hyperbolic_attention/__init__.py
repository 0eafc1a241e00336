"""Attention by distance on the Poincaré ball, exact and without the matrix of distances."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from kernels.dispatch import implementation
from kernels.hyperbolic_attention import reference


def hyperbolic_attention(
    q: Float[Tensor, "*B N D"],
    k: Float[Tensor, "*B M D"],
    v: Float[Tensor, "*B M E"],
    beta: Float[Tensor, ""] | float = 1.0,
    curvature: Float[Tensor, ""] | float = 1.0,
    *,
    causal: bool = False,
) -> Float[Tensor, "*B N E"]:
    r"""Softmax attention whose scores are negative hyperbolic distances.

    .. math:: o_n = \sum_m \frac{e^{-\beta d(q_n, k_m)}}{\sum_l e^{-\beta d(q_n, k_l)}} v_m, \qquad
              d(x, y) = \frac{2}{\sqrt c} \operatorname{arsinh}
              \frac{\sqrt c \, |x - y|}{\sqrt{(1 - c |x|^2)(1 - c |y|^2)}}

    Parameters
    ----------
    q, k
        Points of the open ball :math:`c |x|^2 < 1`. One on the boundary or outside has no distance: whatever sees it
        is NaN.
    v
        Values, vectors of any tangent space; their mean is the usual one.
    beta, curvature
        The inverse temperature, and c > 0, of a ball of curvature -c; both get gradients if they are tensors.
    causal
        Whether query n sees only the keys m <= n; then there must be as many keys as queries.

    Returns
    -------
    The weighted means, in O(N M (D + E)) operations and, by the kernel, O(N + M) memory beyond its inputs.
    Where q_n = k_m the distance has a kink; its gradient there is taken as zero.

    Raises
    ------
    ValueError
        `causal` with unequal numbers of queries and keys.

    References
    ----------
    Gulcehre et al., "Hyperbolic attention networks", ICLR 2019; Dao, "FlashAttention-2", ICLR 2024.
    """
    if causal and q.shape[-2] != k.shape[-2]:
        raise ValueError(f"hyperbolic_attention: causal with {q.shape[-2]} queries and {k.shape[-2]} keys")
    precise = torch.promote_types(q.dtype, torch.float32)
    beta, curvature = (torch.as_tensor(x, dtype=precise, device=q.device) for x in (beta, curvature))
    if implementation(q) == "reference":
        return reference.hyperbolic_attention(q, k, v, beta, curvature, causal=causal)
    from kernels.hyperbolic_attention import autograd

    out, *_ = autograd.hyperbolic_attention(*(_four(x) for x in (q, k, v)), beta, curvature, causal=causal)
    return out.reshape(*q.shape[:-1], v.shape[-1])


def _four(x: Tensor) -> Tensor:
    """Return x as (B, H, N, D) with unit last stride; no copy of heads that were transposed out of a projection."""
    if x.ndim != 4:
        x = x.reshape(1, -1, *x.shape[-2:])
    return x if x.stride(-1) == 1 else x.contiguous()
