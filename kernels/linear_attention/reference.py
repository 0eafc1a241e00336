"""Linear attention as its definition states it, in plain PyTorch.

out_n = sum_m (q_n . k_m) v_m / sum_m (q_n . k_m), over all m, or over m <= n when causal.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 128
"""Tokens whose scores are formed at once when causal: memory stays O(N), work O(N (CHUNK + D))."""


def linear_attention(
    q: Float[Tensor, "*B N D"],
    k: Float[Tensor, "*B N D"],
    v: Float[Tensor, "*B N E"],
    *,
    causal: bool = False,
) -> Float[Tensor, "*B N E"]:
    r"""Attention whose weights are inner products of positive features.

    .. math:: o_n = \frac{q_n^\top S_n}{q_n^\top z_n}, \quad
              S_n = \sum_{m} k_m v_m^\top, \quad z_n = \sum_{m} k_m

    with the sums over all `m`, or over `m <= n` when `causal`.

    Parameters
    ----------
    q, k
        Features, positive so that the normaliser cannot vanish (for example ``elu(x) + 1``).
        Features that all underflow to zero divide zero by zero and give NaN, as the definition does.
    v
        Values.
    causal
        Whether a token sees only itself and the tokens before it.

    Returns
    -------
    The weighted mean of the values, in O(N D E) operations and O(N (D + E) + D E) memory.

    References
    ----------
    Katharopoulos et al., "Transformers are RNNs", ICML 2020.
    """
    if not causal:
        state = k.transpose(-1, -2) @ v
        weight = k.sum(-2, keepdim=True)
        return (q @ state) / (q @ weight.transpose(-1, -2).to(q.dtype))
    state = q.new_zeros(*q.shape[:-2], q.shape[-1], v.shape[-1])
    weight = q.new_zeros(*q.shape[:-2], q.shape[-1], 1)
    out = []
    for q_c, k_c, v_c in zip(*(x.split(CHUNK, dim=-2) for x in (q, k, v)), strict=True):
        scores = (q_c @ k_c.transpose(-1, -2)).tril()
        total = scores.sum(-1, keepdim=True) + q_c @ weight
        out.append((scores @ v_c + q_c @ state) / total)
        state = state + k_c.transpose(-1, -2) @ v_c
        weight = weight + k_c.sum(-2, keepdim=True).transpose(-1, -2)
    return torch.cat(out, dim=-2)
