r"""The "holographic tensor-train" embedding: a table of V x d held as two cores and a phase.

With :math:`v_1 = \lceil\sqrt V\rceil`, :math:`v_2 = \lceil V / v_1\rceil` and the same split of d, token
:math:`t = i v_2 + j` has in coordinate :math:`p d_2 + q`

.. math:: E_{t,(p,q)} = \sum_\rho \cos\theta_\rho\, A_{i \rho p}\, B_{j \rho q}

so its vector, seen as a :math:`d_1 \times d_2` matrix, has a rank of at most r.
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class HTTEmbedding(nn.Module):
    """r (v1 d1 + v2 d2) + r parameters instead of V d; the phases only scale, and only through their cosine."""

    def __init__(self, vocabulary: int, d_model: int, rank: int) -> None:
        super().__init__()
        self.vocabulary, self.d_model = vocabulary, d_model
        self.v1, self.v2 = split(vocabulary)
        self.d1, self.d2 = split(d_model)
        self.first = nn.Parameter(torch.empty(self.v1, rank, self.d1))
        self.second = nn.Parameter(torch.empty(self.v2, rank, self.d2))
        self.phase = nn.Parameter(torch.empty(rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal, with the deviations of the measured network."""
        nn.init.normal_(self.first, std=0.02)
        nn.init.normal_(self.second, std=0.02)
        nn.init.normal_(self.phase, std=0.1)

    def forward(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N d"]:
        first = self.first[ids // self.v2] * self.phase.cos()[:, None]
        grids = torch.einsum("bnrp,bnrq->bnpq", first, self.second[ids % self.v2])
        return grids.flatten(2)[..., : self.d_model]

    def logits(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N V"]:
        """The head that shares these parameters: x E^T, without ever forming the table E."""
        grids = F.pad(x, (0, self.d1 * self.d2 - self.d_model)).unflatten(-1, (self.d1, self.d2))
        halfway = torch.einsum("bnpq,irp->bnirq", grids, self.scaled())
        return torch.einsum("bnirq,jrq->bnij", halfway, self.second).flatten(2)[..., : self.vocabulary]

    def scaled(self) -> Float[Tensor, "v1 r d1"]:
        """The first core times the cosines."""
        return self.first * self.phase.cos()[:, None]


def split(n: int) -> tuple[int, int]:
    """The two sides of the squarest grid with at least `n` cells whose first side is the rounded-up root."""
    first = isqrt(n - 1) + 1
    return first, -(-n // first)
