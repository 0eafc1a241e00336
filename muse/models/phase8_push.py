"""The configuration whose parameters a document computed but never built, as networks that can be built.

- Phase 8's attention in 40 layers of width 3072, with learned positions for 512 tokens
- compressed: Phase 8's factorised embedding and feed-forward network; dense: neither
- `documented_counts` is the document's own formula, which counts no bias, no curvature and no factor
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from muse.errors import UsageError
from muse.models import phase8
from muse.nn.lowrank import EMBEDDING_DIVISOR, Block, FactorisedEmbedding
from muse.nn.network import Network
from muse.nn.shape import Shape


@dataclass(frozen=True)
class Config:
    """A network with positions, compressed or dense."""

    shape: Shape
    compressed: bool
    n_seq: int = 512
    """The most tokens that it takes."""


class Positioned(nn.Module):
    """An embedding plus a learned vector for each of n_seq positions."""

    def __init__(self, tokens: nn.Module, n_seq: int, d_model: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.positions = nn.Parameter(torch.empty(n_seq, d_model))
        nn.init.normal_(self.positions, std=0.02)

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N d"]:
        n, most = ids.shape[1], len(self.positions)
        if n > most:
            raise UsageError(f"{n} tokens, but this network has positions for at most {most}")
        out: Tensor = self.tokens(ids) + self.positions[:n]
        return out


PRESETS: dict[str, Config] = {
    "phase8_push": Config(Shape(3072, 40, 24), compressed=True),
    "phase8_push_dense": Config(Shape(3072, 40, 24), compressed=False),
}


def embedding(config: Config) -> Positioned:
    """The embedding with its positions, which are never compressed."""
    v, d = config.shape.vocabulary, config.shape.d_model
    tokens = FactorisedEmbedding(v, d // EMBEDDING_DIVISOR, d) if config.compressed else nn.Embedding(v, d)
    return Positioned(tokens, config.n_seq, d)


def block(config: Config) -> Block:
    """One layer, with the factorised feed-forward network or d -> 4d -> GELU -> d."""
    d = config.shape.d_model
    dense = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
    return Block(config.shape, phase8.attention(phase8.Config(config.shape)), None if config.compressed else dense)


def build(config: Config) -> Network:
    """The whole network, with a final norm and an untied head without bias."""
    shape, d = config.shape, config.shape.d_model
    blocks = (block(config) for _ in range(shape.layers))
    head = nn.Linear(d, shape.vocabulary, bias=False)
    return Network(shape, embedding(config), blocks, head, nn.LayerNorm(d))


def documented_counts(shape: Shape, n_seq: int, *, compressed: bool) -> dict[str, int]:
    r"""The document's parameters of embedding, attention, FFN, norms and head.

    .. math:: (V + n_{seq}) d + 4 d^2 L + 8 d^2 L + 4 d L + d V

    Compressed, its embedding, positions included, is a quarter and its FFN an eighth.
    """
    d, layers, v = shape.d_model, shape.layers, shape.vocabulary
    return {
        "embedding": (v + n_seq) * d // (4 if compressed else 1),
        "attention": 4 * d * d * layers,
        "ffn": 8 * d * d * layers // (8 if compressed else 1),
        "norms": 4 * d * layers,
        "head": d * v,
    }
