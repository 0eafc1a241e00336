"""Low-rank parts, and the factorised transformer that Phase 7 and Phase 8 are: they differ in their attention alone.

Letters: B batch, N tokens, V vocabulary, d width, r rank.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor, nn

from muse.nn.network import Network
from muse.nn.shape import Shape

EMBEDDING_DIVISOR = 4
"""The factorised embedding's rank is d / 4: the documents' "75 %"."""
FFN_DIVISOR = 8
"""The rank of both halves of the factorised feed-forward network is d / 8: the documents' "87.5 %"."""
DROPOUT = 0.1

SIZES: dict[str, Shape] = {
    "maximum": Shape(4096, 32, 32),
    "large": Shape(3072, 48, 24),
    "deep": Shape(2048, 64, 16),
    "standard": Shape(2048, 48, 16),
}
"""The four sizes at which Phase 7 and Phase 8 are compared."""


class FactorisedEmbedding(nn.Module):
    """A table of V x r, then a projection r -> d: V r + r d parameters instead of V d, and d for a bias."""

    def __init__(self, vocabulary: int, rank: int, d_model: int, *, bias: bool = True) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, rank)
        self.project = nn.Linear(rank, d_model, bias=bias)

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N d"]:
        out: Tensor = self.project(self.table(ids))
        return out


class FactorisedFFN(nn.Sequential):
    """d -> r -> 4d -> GELU -> r -> d, each map with bias and nothing between the factors.

    10 d r weights and 5 d + 2 r biases: with r = d / 8 that is 1.25 d^2, 84.4 % below the dense 8 d^2.
    """

    def __init__(self, d_model: int, rank: int) -> None:
        super().__init__(
            nn.Linear(d_model, rank),
            nn.Linear(rank, 4 * d_model),
            nn.GELU(),
            nn.Linear(4 * d_model, rank),
            nn.Linear(rank, d_model),
        )


class LowRankFFN(nn.Sequential):
    """d -> r -> 4d -> r -> d with ReLU and dropout between: 10 d r + 5 d + 2 r parameters.

    The non-linearity acts at rank r too, so this is four narrow layers, not a factorisation of two wide ones.
    """

    def __init__(self, d_model: int, rank: int) -> None:
        wide = 4 * d_model
        narrow = [(d_model, rank), (rank, wide), (wide, rank)]
        hidden = [part for sizes in narrow for part in (nn.Linear(*sizes), nn.ReLU(), nn.Dropout(DROPOUT))]
        super().__init__(*hidden, nn.Linear(rank, d_model))


class UltraLowRankFFN(nn.Sequential):
    """d -> r -> ReLU -> d: 2 d r + r + d parameters."""

    def __init__(self, d_model: int, rank: int) -> None:
        super().__init__(nn.Linear(d_model, rank), nn.ReLU(), nn.Linear(rank, d_model))


class LowRankHead(nn.Sequential):
    """d -> r -> V, each map with bias: r d + r + V r + V parameters instead of V d."""

    def __init__(self, d_model: int, rank: int, vocabulary: int) -> None:
        super().__init__(nn.Linear(d_model, rank), nn.Linear(rank, vocabulary))


class Block(nn.Module):
    """Pre-norm residual block: attention, then a feed-forward network, the factorised one unless another is given."""

    def __init__(self, shape: Shape, attention: nn.Module, ffn: nn.Module | None = None) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(shape.d_model)
        self.attention = attention
        self.norm_ffn = nn.LayerNorm(shape.d_model)
        self.ffn = ffn or FactorisedFFN(shape.d_model, shape.d_model // FFN_DIVISOR)

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        x = x + self.attention(self.norm_attention(x))
        out: Tensor = x + self.ffn(self.norm_ffn(x))
        return out


class FactorisedTransformer(Network):
    """Token ids to logits. No positions and no causal mask, as measured; the head is untied, without bias."""

    def __init__(self, shape: Shape, attention: Callable[[], nn.Module]) -> None:
        d = shape.d_model
        super().__init__(
            shape,
            FactorisedEmbedding(shape.vocabulary, d // EMBEDDING_DIVISOR, d),
            (Block(shape, attention()) for _ in range(shape.layers)),
            nn.Linear(d, shape.vocabulary, bias=False),
            nn.LayerNorm(d),
        )
