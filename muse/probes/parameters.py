"""Count parameters of the real models on the meta device: exact, in milliseconds, without weights."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import cast

import torch
from torch import nn

from muse import models
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, Real, certain
from muse.memory.workload import DTYPES
from muse.nn.shape import Shape
from muse.probes.bench import Bench

_MIXER = r"(attention\.|self_attn\.|ssm\.|(here|before|after|u|v)$)"
_FFN = r"(ffn\.|linear[12]\.)"

PARTS = {
    "all": r"",
    "embedding": r"embedding\.",
    "blocks": r"blocks\.",
    "block": r"blocks\.0\.",
    "mixer": rf"blocks\.0\.{_MIXER}",
    "mixers": rf"blocks\.\d+\.{_MIXER}",
    "ffn": rf"blocks\.0\.{_FFN}",
    "ffns": rf"blocks\.\d+\.{_FFN}",
    "norms": r"(blocks\.\d+\.)?norm",
    "head": r"head\.",
}
"""Each part by how the names of its parameters begin."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's quantity of its model or part, alone or against the same part of another model."""
    given = claim.given
    part, shape = given.get("part", "all"), models.config(given["model"]).shape
    model = _build(given["model"])
    count = counted(model, part)
    value: Real
    match claim.quantity:
        case "size":
            value = count * DTYPES[given.get("dtype", "float16")].itemsize
        case "formula":
            value = _formula(shape)
        case "embedding_saved":
            value = 1 - Fraction(counted(model, "embedding"), shape.vocabulary * shape.d_model)
        case "ffn_saved":
            value = 1 - Fraction(counted(model, "ffn"), _dense_ffn(shape.d_model))
        case "width":
            value = next(tensor.shape[-1] for name, tensor in model.named_parameters() if name.startswith("blocks.0."))
        case "layers":
            value = len(cast(nn.ModuleList, model.blocks))
        case "total":
            value = count
        case _:
            value = _compared(claim.quantity, count, counted(_build(given["against"]), part))
    return certain(value, Scope.EXACT, device="meta")


def counted(model: nn.Module, part: str) -> int:
    """Parameters of one part of a model."""
    return sum(p.numel() for name, p in model.named_parameters() if re.match(PARTS[part], name))


def _compared(quantity: str | None, mine: int, other: int) -> Real:
    match quantity:
        case "total_difference":
            return mine - other
        case "total_ratio":
            return Fraction(mine, other)
        case "total_saved":
            return 1 - Fraction(mine, other)
    return Fraction(mine - other, other)


def _build(name: str) -> nn.Module:
    with torch.device("meta"):
        return models.build(name)


def _dense_ffn(d: int) -> int:
    """Parameters of d -> 4d -> d with biases."""
    return 8 * d * d + 5 * d


def _formula(shape: Shape) -> int:
    """The documents' closed formula: V d/4 + d^2/4 + L (4 d^2 + 10 d d/8 + 4 d) + d V, without the biases."""
    d, v, layers = shape.d_model, shape.vocabulary, shape.layers
    return v * d // 4 + d * d // 4 + layers * (4 * d * d + 10 * d * (d // 8) + 4 * d) + d * v
