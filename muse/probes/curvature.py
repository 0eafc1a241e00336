"""Which mode Phase 8's attention runs in at a curvature, and how true it is: float64, on the CPU, real outputs."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, Real, certain
from muse.models import phase8
from muse.nn.shape import Shape
from muse.probes.bench import Bench

SHAPE = Shape(d_model=64, layers=1, heads=4)
TOKENS = 96


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The share of the exact part in the output, or the relative error of the output."""
    torch.manual_seed(0)
    config = phase8.Config(SHAPE, curvature=float(claim.given["curvature"]), causal=claim.given.get("causal", False))
    layer = phase8.attention(config).double()
    layer.reset_parameters()
    with torch.no_grad():
        x = torch.nn.functional.layer_norm(torch.randn(2, TOKENS, SHAPE.d_model, dtype=torch.float64), (64,))
        q, k, v = (layer.heads(map_(x)) for map_ in (layer.query, layer.key, layer.value))
        out = layer.mix(q, k, v)
        linear = layer.linear(q, k, v)
        truth = _exact(q, k, v, config)
    value: Real
    match claim.quantity:
        case "exact_share":
            value = _share(out, linear, truth)
        case "tangent_error":
            value = _error(linear, truth)
        case _:
            value = _error(out, truth)
    return certain(value, Scope.EXACT, dtype="float64", device="cpu", tokens=TOKENS, seed=0)


def _exact(q: Tensor, k: Tensor, v: Tensor, config: phase8.Config) -> Tensor:
    """softmax(-d_c(q, k)) v by the definition: points, difference vectors, arcosh."""
    c = config.curvature

    def point(x: Tensor) -> Tensor:
        r = c**0.5 * x.norm(dim=-1, keepdim=True)
        return torch.tanh(r) / r * x

    a, b = point(q)[..., :, None, :], point(k)[..., None, :, :]
    room = (1 - c * a.square().sum(-1)) * (1 - c * b.square().sum(-1))
    scores = -torch.acosh(1 + 2 * c * (a - b).square().sum(-1) / room) / c**0.5
    if config.causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
    return scores.softmax(-1) @ v


def _share(out: Tensor, linear: Tensor, truth: Tensor) -> Fraction:
    """The s for which the output is (1 - s) linear + s exact, by least squares, to nine decimals."""
    direction = truth - linear
    share = ((out - linear) * direction).sum() / direction.square().sum()
    return Fraction(round(share.item() * 10**9), 10**9)


def _error(out: Tensor, truth: Tensor) -> float:
    return ((out - truth).norm() / truth.norm()).item()
