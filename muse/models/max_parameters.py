"""Phase 1 and Phase 2 as the maximum-parameter document measured them.

- both: embedding of rank 4, head through d/4 with GELU; no positions, no mask, no final norm
- Phase 1 has the baseline's encoder layers, unchanged; Phase 2 has `SemiseparableLayer`
- no HTT embedding, no AR-SSM and no resolvent, whatever the document calls them
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from muse.nn.lowrank import FactorisedEmbedding
from muse.nn.network import Network, encoder_layer
from muse.nn.shape import Shape

EMBEDDING_RANK = 4


@dataclass(frozen=True)
class Config:
    """Phase 1, or Phase 2 with `semiseparable` layers."""

    shape: Shape
    semiseparable: bool


class SemiseparableLayer(nn.Module):
    r"""Phase 2's layer: three diagonals over the tokens, a channel mixer of rank r, and an FFN of width d/4.

    .. math:: y_i = x_i + a \odot \hat x_i + b \odot \hat x_{i-1} + c \odot \hat x_{i+1} + U V^T \hat x_i

    then y + FFN(LN(y)), with x-hat the normalised input and r = max(4, floor(log2 d)): 0.5 d^2 + (2 r + 9.25) d
    parameters. Not causal. The document's code looped over tokens; shifted copies give the same function.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        rank = max(4, d_model.bit_length() - 1)
        self.norm_mix, self.norm_ffn = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.here, self.before, self.after = (nn.Parameter(torch.empty(d_model)) for _ in range(3))
        self.u, self.v = (nn.Parameter(torch.empty(d_model, rank)) for _ in range(2))
        # The measured network never used it; it is kept because its parameters were counted.
        self.potential = nn.Parameter(torch.empty(d_model))
        self.ffn = nn.Sequential(nn.Linear(d_model, d_model // 4), nn.GELU(), nn.Linear(d_model // 4, d_model))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal with deviation 0.02; the norms and the FFN keep PyTorch's start."""
        for parameter in self.parameters(recurse=False):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        y = self.norm_mix(x)
        earlier, later = F.pad(y[:, :-1], (0, 0, 1, 0)), F.pad(y[:, 1:], (0, 0, 0, 1))
        x = x + self.here * y + self.before * earlier + self.after * later + y @ self.v @ self.u.T
        out: Tensor = x + self.ffn(self.norm_ffn(x))
        return out


PRESETS: dict[str, Config] = {
    "phase1": Config(Shape(4096, 6, 8, 50_000), semiseparable=False),
    "phase2": Config(Shape(4096, 6, 1, 50_000), semiseparable=True),
}


def layer(config: Config) -> nn.Module:
    """One layer alone."""
    if config.semiseparable:
        return SemiseparableLayer(config.shape.d_model)
    return encoder_layer(config.shape, norm_first=True)


def build(config: Config) -> Network:
    """The whole network."""
    shape, d = config.shape, config.shape.d_model
    return Network(
        shape,
        FactorisedEmbedding(shape.vocabulary, EMBEDDING_RANK, d, bias=False),
        (layer(config) for _ in range(shape.layers)),
        nn.Sequential(nn.Linear(d, d // 4), nn.GELU(), nn.Linear(d // 4, shape.vocabulary)),
    )
