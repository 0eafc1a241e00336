"""The factorised transformer that both measured phases are: they differ in their attention alone.

Letters: B batch, N tokens, V vocabulary, d width, r rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The size of a factorised transformer."""

    d_model: int
    layers: int
    heads: int
    vocabulary: int = 50257
    embedding_divisor: int = 4
    """The embedding's rank is d / 4: the documents' "75 %"."""
    ffn_divisor: int = 8
    """The rank of both halves of the feed-forward network is d / 8: the documents' "87.5 %"."""


SIZES: dict[str, Shape] = {
    "maximum": Shape(4096, 32, 32),
    "large": Shape(3072, 48, 24),
    "deep": Shape(2048, 64, 16),
    "standard": Shape(2048, 48, 16),
}
"""The four sizes that the documents compare."""


class FactorisedEmbedding(nn.Module):
    """A table of V x r, then a projection r -> d with bias: V r + r d + d parameters instead of V d."""

    def __init__(self, vocabulary: int, rank: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, rank)
        self.project = nn.Linear(rank, d_model)

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N d"]:
        out: Tensor = self.project(self.table(ids))
        return out


class FactorisedFFN(nn.Sequential):
    """d -> r -> 4d -> GELU -> r -> d, each map with bias and nothing between the factors.

    10 d r + 5 d + 2 r + ... weights: with r = d / 8 that is 1.25 d^2, 84.4 % below the dense 8 d^2.
    """

    def __init__(self, d_model: int, rank: int) -> None:
        super().__init__(
            nn.Linear(d_model, rank),
            nn.Linear(rank, 4 * d_model),
            nn.GELU(),
            nn.Linear(4 * d_model, rank),
            nn.Linear(rank, d_model),
        )


class Block(nn.Module):
    """Pre-norm residual block: attention, then the factorised feed-forward network."""

    def __init__(self, shape: Shape, attention: nn.Module) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(shape.d_model)
        self.attention = attention
        self.norm_ffn = nn.LayerNorm(shape.d_model)
        self.ffn = FactorisedFFN(shape.d_model, shape.d_model // shape.ffn_divisor)

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        x = x + self.attention(self.norm_attention(x))
        out: Tensor = x + self.ffn(self.norm_ffn(x))
        return out


class FactorisedTransformer(nn.Module):
    """Token ids to logits. No positions and no causal mask, as measured; the head is untied, without bias."""

    def __init__(self, shape: Shape, attention: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = FactorisedEmbedding(shape.vocabulary, shape.d_model // shape.embedding_divisor, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape, attention()) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.d_model)
        self.head = nn.Linear(shape.d_model, shape.vocabulary, bias=False)

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N V"]:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        out: Tensor = self.head(x)
        return out
