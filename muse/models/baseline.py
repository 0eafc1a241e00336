"""The Transformer that two documents compare with: PyTorch's own encoder layers.

- dense embedding, full softmax attention, dense feed-forward network with ReLU, dropout 0.1
- untied head with bias; no positions, no mask, no final norm
- pre-norm in the maximum-parameter document, post-norm in the memory document
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from muse.nn.network import Network, encoder_layer
from muse.nn.shape import Shape


@dataclass(frozen=True)
class Config:
    """A baseline."""

    shape: Shape
    norm_first: bool = True


PRESETS: dict[str, Config] = {
    "baseline": Config(Shape(4096, 6, 8, 50_000)),
    "baseline_3664": Config(Shape(3664, 6, 8, 50_000)),
    "baseline_small": Config(Shape(512, 6, 8, 10_000), norm_first=False),
    "baseline_large": Config(Shape(1024, 12, 8, 50_000), norm_first=False),
}


def build(config: Config) -> Network:
    """2 V d + V + L (12 d^2 + 13 d) parameters."""
    shape = config.shape
    return Network(
        shape,
        nn.Embedding(shape.vocabulary, shape.d_model),
        (encoder_layer(shape, norm_first=config.norm_first) for _ in range(shape.layers)),
        nn.Linear(shape.d_model, shape.vocabulary),
    )
