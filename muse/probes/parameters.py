"""Count parameters of the real models on the meta device: exact, in milliseconds, without weights."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import torch
from torch import nn

from muse import models
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, Real, certain
from muse.nn.lowrank import FactorisedTransformer
from muse.probes.bench import Bench


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's quantity of its model, alone or against another."""
    model = _build(claim.given["model"])
    value: Real
    match claim.quantity:
        case "total_difference":
            value = _count(model) - _count(_build(claim.given["against"]))
        case "total_change":
            other = _count(_build(claim.given["against"]))
            value = Fraction(_count(model) - other, other)
        case "formula":
            value = _formula(model)
        case "embedding_saved":
            value = 1 - Fraction(_count(model.embedding), model.shape.vocabulary * model.shape.d_model)
        case "ffn_saved":
            value = 1 - Fraction(_count(cast(nn.Module, model.blocks[0].ffn)), _dense_ffn(model.shape.d_model))
        case "width":
            value = model.embedding.project.out_features
        case "layers":
            value = len(model.blocks)
        case _:
            value = _count(model)
    return certain(value, Scope.EXACT, device="meta")


def _build(name: str) -> FactorisedTransformer:
    with torch.device("meta"):
        return cast(FactorisedTransformer, models.build(name))


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _dense_ffn(d: int) -> int:
    """Parameters of d -> 4d -> d with biases."""
    return 8 * d * d + 5 * d


def _formula(model: FactorisedTransformer) -> int:
    """The documents' closed formula: V d/4 + d^2/4 + L (4 d^2 + 10 d d/8 + 4 d) + d V, without the biases."""
    d, v = model.shape.d_model, model.shape.vocabulary
    return v * d // 4 + d * d // 4 + len(model.blocks) * (4 * d * d + 10 * d * (d // 8) + 4 * d) + d * v
