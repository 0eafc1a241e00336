"""The tensor-train table as its definition states it, in plain PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 64
"""Tokens whose logits are formed at once."""


def tensor_train(
    index: Int[Tensor, "*T"],
    core1: Float[Tensor, "v1 r d1"],
    core2: Float[Tensor, "v2 r d2"],
    phase: Float[Tensor, " r"],
    width: int,
) -> Float[Tensor, "*T d"]:
    """E[t, (p, q)] = sum_rho cos(phase_rho) C1[t // v2, rho, p] C2[t % v2, rho, q], cropped to `width`."""
    v2, r, _ = core2.shape
    rows1 = F.embedding(index // v2, (core1 * phase.cos()[:, None]).flatten(1)).unflatten(-1, (r, -1))
    rows2 = F.embedding(index % v2, core2.flatten(1)).unflatten(-1, (r, -1))
    return (rows1.mT @ rows2).flatten(-2)[..., :width]


def tensor_train_logits(
    hidden: Float[Tensor, "*T d"],
    core1: Float[Tensor, "v1 r d1"],
    core2: Float[Tensor, "v2 r d2"],
    phase: Float[Tensor, " r"],
    vocabulary: int,
) -> Float[Tensor, "*T V"]:
    """Inner products of `hidden` with the table's first `vocabulary` rows, by two products for each chunk of tokens.

    A chunk's intermediate, v1 r d2 numbers a token, is formed again in the backward pass instead of being kept.
    """
    flat = hidden.flatten(0, -2) if hidden.dim() > 1 else hidden[None]
    scaled = core1 * phase.cos()[:, None]
    chunks = [checkpoint(_logits, x, scaled, core2, use_reentrant=False) for x in flat.split(CHUNK)]
    return torch.cat(chunks)[:, :vocabulary].reshape(*hidden.shape[:-1], vocabulary)


def _logits(x: Float[Tensor, "T d"], core1: Float[Tensor, "v1 r d1"], core2: Float[Tensor, "v2 r d2"]) -> Tensor:
    (v1, r, d1), (v2, _, d2) = core1.shape, core2.shape
    square = F.pad(x, (0, d1 * d2 - x.shape[-1])).unflatten(-1, (d1, d2))
    half = core1.reshape(v1 * r, d1) @ square
    return (half.reshape(-1, r * d2) @ core2.reshape(v2, r * d2).mT).reshape(-1, v1 * v2)
