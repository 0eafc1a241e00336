"""What every measured network is: an embedding, blocks one after another, and a head.

Letters, here and in the files beside it: B batch, N tokens, V vocabulary, d width, r rank.
"""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float, Int
from torch import Tensor, nn

from muse.nn.shape import Shape


class Network(nn.Module):
    """Token ids to logits. Whatever the parts do not bring is not there: positions, masks, a final norm."""

    def __init__(
        self,
        shape: Shape,
        embedding: nn.Module,
        blocks: Iterable[nn.Module],
        head: nn.Module,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = embedding
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm or nn.Identity()
        self.head = head

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N V"]:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        out: Tensor = self.head(x)
        return out


def encoder_layer(shape: Shape, *, norm_first: bool) -> nn.TransformerEncoderLayer:
    """PyTorch's encoder layer with its defaults, d -> 4d -> d with ReLU and dropout 0.1: 12 d^2 + 13 d parameters."""
    return nn.TransformerEncoderLayer(
        shape.d_model, shape.heads, 4 * shape.d_model, batch_first=True, norm_first=norm_first
    )
