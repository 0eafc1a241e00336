"""Phase 1 as the memory document measured it: a network made to need little memory in training.

- HTT embedding, AR-SSM in place of attention, low-rank feed-forward network and head
- activations recomputed in the backward pass, part by part, as each preset says
- not causal: the AR-SSM sees one token ahead; no positions
- besides the three measured presets, those savings that the document only planned and that can be built
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from muse.nn.arssm import ARSSM
from muse.nn.htt import HTTEmbedding
from muse.nn.lowrank import LowRankFFN, LowRankHead, UltraLowRankFFN
from muse.nn.shape import Shape


@dataclass(frozen=True)
class Rank:
    """A part of the width, but not less than a floor."""

    divisor: int
    least: int = 1

    def of(self, width: int) -> int:
        """max(d // divisor, least)."""
        return max(width // self.divisor, self.least)


@dataclass(frozen=True)
class Config:
    """A Phase 1 network."""

    shape: Shape
    htt_rank: int
    ssm_rank: int
    ffn: type[LowRankFFN | UltraLowRankFFN]
    ffn_rank: Rank
    head_rank: Rank | None
    """Without one the head shares the embedding's parameters."""
    norms_per_block: int
    """Two, or one that normalises for both halves of a block."""
    recomputed: tuple[str, ...]
    """What drops its activations and recomputes them: "half" of a block, "block", "head"."""
    always: bool = False
    """Recompute outside of training too."""
    norm: type[nn.LayerNorm | nn.RMSNorm] = nn.LayerNorm


class Recomputing(nn.Module):
    """A module whose parts may drop their activations and recompute them in the backward pass."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def run(self, kind: str, part: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """part(x), of which only x is kept where the configuration says so."""
        if kind in self.config.recomputed and (self.training or self.config.always):
            out: Tensor = checkpoint(part, x, use_reentrant=False)
            return out
        return part(x)


class Block(Recomputing):
    """Pre-norm residual block: AR-SSM, then the feed-forward network."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        d = config.shape.d_model
        self.norms = nn.ModuleList(config.norm(d) for _ in range(config.norms_per_block))
        self.ssm = ARSSM(d, config.ssm_rank)
        self.ffn = config.ffn(d, config.ffn_rank.of(d))

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        return self.run("half", self.transform, self.run("half", self.mix, x))

    def mix(self, x: Tensor) -> Tensor:
        """The half that sees other tokens."""
        out: Tensor = x + self.ssm(self.norms[0](x))
        return out

    def transform(self, x: Tensor) -> Tensor:
        """The half that sees one token."""
        out: Tensor = x + self.ffn(self.norms[-1](x))
        return out


class Phase1(Recomputing):
    """Token ids to logits."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.shape = shape = config.shape
        d, rank = shape.d_model, config.head_rank
        self.embedding = HTTEmbedding(shape.vocabulary, d, config.htt_rank)
        self.blocks = nn.ModuleList(Block(config) for _ in range(shape.layers))
        self.norm = config.norm(d)
        self.head = None if rank is None else LowRankHead(d, rank.of(d), shape.vocabulary)

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N V"]:
        x = self.embedding(ids)
        for block in self.blocks:
            x = self.run("block", block, x)
        x = self.norm(x)
        return self.run("head", self.embedding.logits if self.head is None else self.head, x)


_SMALL = Shape(d_model=512, layers=6, heads=1, vocabulary=10_000)
"""One head: the AR-SSM has none."""
_STANDARD = Config(
    _SMALL,
    htt_rank=16,
    ssm_rank=32,
    ffn=LowRankFFN,
    ffn_rank=Rank(16, 64),
    head_rank=Rank(32, 32),
    norms_per_block=2,
    recomputed=("half",),
)
_EXTREME = replace(
    _STANDARD, htt_rank=8, ssm_rank=16, ffn_rank=Rank(32), head_rank=Rank(64, 16), recomputed=("half", "block", "head")
)
_ULTRA = Config(
    _SMALL,
    htt_rank=4,
    ssm_rank=8,
    ffn=UltraLowRankFFN,
    ffn_rank=Rank(64, 8),
    head_rank=Rank(128, 4),
    norms_per_block=1,
    recomputed=("block", "head"),
    always=True,
)

PRESETS: dict[str, Config] = {
    "phase1_standard": _STANDARD,
    "phase1_extreme": _EXTREME,
    "phase1_ultra": _ULTRA,
    "phase1_ultra_large": replace(_ULTRA, shape=replace(_SMALL, d_model=1024, layers=12, vocabulary=50_000)),
    "phase1_ultra_rank4": replace(_ULTRA, ssm_rank=4),
    "phase1_ultra_tied": replace(_ULTRA, head_rank=None),
    "phase1_ultra_rmsnorm": replace(_ULTRA, norm=nn.RMSNorm),
}


def build(config: Config) -> Phase1:
    """The network of `config`."""
    return Phase1(config)
