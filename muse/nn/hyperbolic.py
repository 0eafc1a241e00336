"""The Poincaré ball of curvature -c: maps at its origin, and its distance.

Points satisfy c |x|^2 < 1. References: Ganea et al., "Hyperbolic Neural Networks", NeurIPS 2018.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_NORM = 1e-6
"""Below it a map at the origin is the identity to float32; it keeps 0 / 0 out of the ratio."""


def exp0(v: Float[Tensor, "... D"], c: Tensor, largest: float | None = None) -> Float[Tensor, "... D"]:
    r"""Tangent vector to point: :math:`\tanh(\sqrt c |v|)\, v / (\sqrt c |v|)`.

    `largest` caps the norm in the ratio, and so leaves the ball for longer vectors, as the measured network does.
    """
    scaled = c.sqrt() * v.norm(dim=-1, keepdim=True).clamp(min=SMALLEST_NORM, max=largest)
    return torch.tanh(scaled) / scaled * v


def log0(x: Float[Tensor, "... D"], c: Tensor, largest: float | None = None) -> Float[Tensor, "... D"]:
    r"""Point to tangent vector: :math:`\operatorname{artanh}(\sqrt c |x|)\, x / (\sqrt c |x|)`.

    Infinite on the boundary, NaN outside the ball; `largest` caps the norm, and the norm scaled by the root of c,
    in the ratio.
    """
    scaled = c.sqrt() * x.norm(dim=-1, keepdim=True).clamp(min=SMALLEST_NORM, max=largest)
    if largest is not None:
        scaled = scaled.clamp(max=largest)
    return torch.atanh(scaled) / scaled * x


def distance(x: Float[Tensor, "*B N D"], y: Float[Tensor, "*B M D"], c: Tensor) -> Float[Tensor, "*B N M"]:
    r"""Every distance between two sets of points, in O(N M) memory.

    .. math:: d_c(x, y) = \frac{1}{\sqrt c} \operatorname{arcosh}\left(1 +
              \frac{2 c |x - y|^2}{(1 - c |x|^2)(1 - c |y|^2)}\right)

    computed as :math:`2 \operatorname{arsinh}\sqrt{u / 2} / \sqrt c` from differences of coordinates, which keeps its
    digits for near points, where :math:`|x|^2 + |y|^2 - 2 x \cdot y` would lose them all. Half precision is widened.
    Infinite or NaN where a point lies on or outside the ball's boundary.
    """
    x, y = (t.to(torch.promote_types(t.dtype, torch.float32)) for t in (x, y))
    gap = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    x_room = (1 - c * x.square().sum(-1, keepdim=True)).sqrt()
    y_room = (1 - c * y.square().sum(-1, keepdim=True)).sqrt().transpose(-1, -2)
    return 2 * torch.asinh(c.sqrt() * gap / (x_room * y_room)) / c.sqrt()
