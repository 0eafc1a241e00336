r"""How much of its theoretical bound an operator of Birman and Schwinger reaches: float64, on the CPU.

The kernel is :math:`G_z(u, v) = \frac i2 e^{iz|u-v|}`, Im z > 0, that is z times the resolvent
:math:`(-d^2/dx^2 - z^2)^{-1}`, and :math:`K = |V|^{1/2} G_z |V|^{1/2}`. Then

- :math:`|G_z(u, v)| \le \frac12 e^{-\operatorname{Im} z |u-v|}`,
- :math:`\|K\|_2 \le \frac12 (\operatorname{Im} z)^{-1/2} \|V\|_{L^2}`, by Young's inequality,
- :math:`\|K\|_1 \le \frac{|z|}{2 \operatorname{Im} z} \|V\|_{L^1}`: the resolvent is the product of
  :math:`(p - z)^{-1}` and :math:`(p + z)^{-1}`, and each, times :math:`|V|^{1/2}`, is a Hilbert-Schmidt operator with
  the squared norm :math:`\|V\|_{L^1} / (2 \operatorname{Im} z)`.

The documented bound of the trace norm lacks the factor |z|.

References
----------
B. Simon, "Trace Ideals and Their Applications", 2nd ed., 2005, chapter 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.probes.bench import Bench

POINTS = 128
WIDTH = 6.0
"""Length of the interval that the grid covers."""
SEEDS = range(4)
ENERGIES = (0.25j, 1j, 2j, 1 + 0.5j, -0.5 + 1j, 3 + 1j)
"""z, below and above one in modulus and in imaginary part."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The largest share of the bound that is reached, over potentials and energies."""
    kernel = claim.given.get("kernel", "distance")
    shares = {str(z): max(_share(claim.quantity, kernel, z, seed) for seed in SEEDS) for z in ENERGIES}
    return certain(max(shares.values()), Scope.EXACT, shares=shares, points=POINTS, seeds=len(SEEDS), dtype="float64")


def _share(quantity: str | None, kernel: str, z: complex, seed: int) -> float:
    step, decay = WIDTH / POINTS, z.imag
    u = step * torch.arange(POINTS, dtype=torch.float64)
    green, weight = resolvent(u, z, kernel), potential(u, seed).abs()
    apart = (u[:, None] - u).abs()
    if quantity == "pointwise":
        return float((green.abs() / (0.5 * torch.exp(-decay * apart))).max())
    root = weight.sqrt()
    born = step * root[:, None] * green * root
    if quantity == "hilbert_schmidt":
        return float(torch.linalg.matrix_norm(born) / (0.5 * decay**-0.5 * (step * weight.square().sum()).sqrt()))
    factor = abs(z) if quantity == "trace" else 1.0
    return float(torch.linalg.svdvals(born).sum() / (0.5 * factor / decay * step * weight.sum()))


def resolvent(u: Tensor, z: complex, kernel: str) -> Tensor:
    """The kernel on a grid: of the distance, or signed, without a distance, as the documents' source code has it."""
    apart = u[:, None] - u
    phase: Any = 1j * z
    if kernel == "distance":
        return 0.5j * torch.exp(phase * apart.abs())
    return 0.5j * torch.exp(phase * apart) * apart.sign()


def potential(u: Tensor, seed: int) -> Tensor:
    """Three random bumps of either sign."""
    random = torch.Generator().manual_seed(seed)
    height, centre, width = (torch.randn(3, generator=random, dtype=torch.float64) for _ in range(3))
    bumps = torch.exp(-(((u[:, None] - u.mean() - 2 * centre) / (0.5 + width.abs())) ** 2))
    return bumps @ height
