"""Phase 8 as its documents measured it: Phase 7's network with tangent-space linear attention.

- one learned curvature per layer, so L parameters more than Phase 7
- three modes by curvature c: linear below 0.1, exact above 1.0, hybrid between
- none of the hyperbolic SSM, AR-SSM fusion, BK-Core or Triton kernels that its documents list
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch._subclasses import FakeTensor

from kernels.linear_attention.reference import linear_attention
from muse.nn import hyperbolic
from muse.nn.lowrank import SIZES, FactorisedTransformer
from muse.nn.shape import Shape


@dataclass(frozen=True)
class Config:
    """A Phase 8 network."""

    shape: Shape
    curvature: float = 0.01
    """Initial c of every layer; the documents force 0.01, which selects the linear mode."""
    low_curvature: float = 0.1
    """Below it the mode is linear."""
    high_curvature: float = 1.0
    """Above it the mode is exact."""
    causal: bool = False


class TangentSpaceLinearAttention(nn.Module):
    """Attention on the tangent space of the Poincaré ball at its origin: 4 d^2 + 4 d + 1 parameters.

    The input is taken to the tangent space, attended there, and the result is taken back to the ball.
    Linear mode weighs tokens by elu(q)+1 . elu(k)+1, in O(N); exact mode by softmax(-d_c(q, k)), in O(N^2).
    Hybrid mode mixes the two with the share (c - 0.1) / 0.9, but only once that share exceeds one half;
    below, as measured, it computes the linear part alone.
    """

    LARGEST_POINT = 0.999
    """Norm at which the map to the tangent space is capped, whatever the curvature."""
    LARGEST_TANGENT = 15.0
    """Norm at which the map back to the ball is capped."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        d = config.shape.d_model
        self.query, self.key, self.value, self.out = (nn.Linear(d, d) for _ in range(4))
        self.curvature = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start at the configured curvature."""
        nn.init.constant_(self.curvature, self.config.curvature)

    def exact_share(self, c: float) -> float:
        """The weight of the exact part at curvature `c`: 0 in linear mode, 1 in exact mode."""
        low, high = self.config.low_curvature, self.config.high_curvature
        if c < low:
            return 0.0
        if c > high:
            return 1.0
        share = (c - low) / (high - low)
        return share if share > 0.5 else 0.0

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        c = self.curvature.abs()
        tangent = hyperbolic.log0(x, c, largest=self.LARGEST_POINT)
        q, k, v = (self.heads(map_(tangent)) for map_ in (self.query, self.key, self.value))
        merged = self.mix(q, k, v).transpose(1, 2).flatten(2)
        return hyperbolic.exp0(self.out(merged), c, largest=self.LARGEST_TANGENT)

    def mix(
        self, q: Float[Tensor, "B H N D"], k: Float[Tensor, "B H N D"], v: Float[Tensor, "B H N D"]
    ) -> Float[Tensor, "B H N D"]:
        """Mix the tokens in the mode that the curvature selects; a fake tensor's is the configured one."""
        c = self.curvature.abs()
        dataless = c.is_meta or isinstance(c, FakeTensor)
        share = self.exact_share(self.config.curvature if dataless else float(c.detach()))
        if share == 0:
            return self.linear(q, k, v)
        if share == 1:
            return self.exact(q, k, v, c)
        return (1 - share) * self.linear(q, k, v) + share * self.exact(q, k, v, c)

    def linear(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The feature maps elu + 1 in place of softmax: O(N)."""
        return linear_attention(F.elu(q) + 1, F.elu(k) + 1, v, causal=self.config.causal)[0]

    def exact(self, q: Tensor, k: Tensor, v: Tensor, c: Tensor) -> Tensor:
        """softmax(-d_c(q, k)) v with q and k taken to the ball: O(N^2)."""
        scores = -hyperbolic.distance(hyperbolic.exp0(q, c), hyperbolic.exp0(k, c), c)
        if self.config.causal:
            unseen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(unseen, -torch.inf)
        return scores.softmax(-1).to(v.dtype) @ v

    def heads(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B H N D"]:
        """Split the width into heads."""
        return x.unflatten(-1, (self.config.shape.heads, -1)).transpose(1, 2)


PRESETS: dict[str, Config] = {f"phase8_{size}": Config(shape) for size, shape in SIZES.items()}


def attention(config: Config) -> TangentSpaceLinearAttention:
    """One layer's attention alone."""
    return TangentSpaceLinearAttention(config)


def build(config: Config) -> FactorisedTransformer:
    """The whole network."""
    return FactorisedTransformer(config.shape, lambda: attention(config))
