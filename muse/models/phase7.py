"""Phase 7 as its documents measured it: a factorised transformer with ordinary softmax attention.

- low-rank embedding (rank d/4), low-rank feed-forward network (rank d/8), untied head
- full softmax attention through PyTorch's own module; no mask, no positions, no dropout
- none of the hyperbolic attention, AR-SSM or BK-Core that Phase 7 is otherwise described with
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from muse.nn.lowrank import SIZES, FactorisedTransformer
from muse.nn.shape import Shape


@dataclass(frozen=True)
class Config:
    """A Phase 7 network."""

    shape: Shape


class SoftmaxAttention(nn.Module):
    """PyTorch's multi-head attention over all tokens: 4 d^2 + 4 d parameters, O(N^2 d) operations."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(shape.d_model, shape.heads, batch_first=True)

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        out: Tensor = self.inner(x, x, x, need_weights=False)[0]
        return out

    def mix(
        self, q: Float[Tensor, "B H N D"], k: Float[Tensor, "B H N D"], v: Float[Tensor, "B H N D"]
    ) -> Float[Tensor, "B H N D"]:
        """What the inner module computes between its projections."""
        return F.scaled_dot_product_attention(q, k, v)


PRESETS: dict[str, Config] = {f"phase7_{size}": Config(shape) for size, shape in SIZES.items()}


def attention(config: Config) -> SoftmaxAttention:
    """One layer's attention alone."""
    return SoftmaxAttention(config.shape)


def build(config: Config) -> FactorisedTransformer:
    """The whole network."""
    return FactorisedTransformer(config.shape, lambda: attention(config))
