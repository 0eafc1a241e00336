"""An example: a network of bytes, from token ids to logits."""

from torch import Tensor, nn


class Tiny(nn.Module):
    """An embedding, a map with a residual, and a head with weights of its own."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, width)
        self.hidden = nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, 256, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        return self.head(x + nn.functional.gelu(self.hidden(x)))
