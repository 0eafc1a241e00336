"""The size of a network; loads without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Width, depth, attention heads and token ids of a network."""

    d_model: int
    layers: int
    heads: int
    vocabulary: int = 50257
