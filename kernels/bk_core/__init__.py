"""The diagonal of a tridiagonal matrix's resolvent."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from kernels.bk_core import autograd, reference
from kernels.dispatch import implementation


def bk_core(
    a: Float[Tensor, "*B N"], b: Float[Tensor, "*B M"], c: Float[Tensor, "*B M"], z: Complex[Tensor, "*_"]
) -> Complex[Tensor, "*B N"]:
    r"""Diagonal of (T - z I)^-1 for a tridiagonal T, in O(N).

    .. math:: G_{ii} = \frac{1}{d_i + e_i - (a_i - z)}, \quad
              d_i = a_i - z - \frac{b_{i-1} c_{i-1}}{d_{i-1}}, \quad
              e_i = a_i - z - \frac{b_i c_i}{e_{i+1}}

    The continued fractions exist where z is no eigenvalue of any block T[i:j, i:j]. That is certain when
    Im z != 0 and every b_i c_i >= 0: then no pivot's imaginary part is smaller than that of z. Elsewhere a pivot can
    vanish, and the result is infinite or NaN, even where T - z I has an inverse; near there it loses digits.

    Parameters
    ----------
    a, b, c
        Diagonal, entries above it T[i, i+1], and entries below it T[i+1, i]; real, M = N - 1.
    z
        One complex number for each matrix of the batch, or one for all: complex128 with float64, else complex64.

    Returns
    -------
    The diagonal, of the dtype of z; gradients for a, b, c and z are exact and take O(N).

    Raises
    ------
    ValueError
        If `a` is empty, or a shape or dtype does not fit that of `a`.

    References
    ----------
    Meurant, "A review on the inverse of symmetric tridiagonal and block tridiagonal matrices", SIAM J. Matrix
    Anal. Appl. 13, 1992.
    """
    _check(a, b, c, z)
    z = z.expand(a.shape[:-1])
    if implementation(a) == "reference":
        return reference.bk_core(a, b, c, z)
    return autograd.bk_core(a, b, c, z)[0]


def _check(a: Tensor, b: Tensor, c: Tensor, z: Tensor) -> None:
    if not a.numel():
        raise ValueError(f"bk_core: a of shape {tuple(a.shape)} has no element")
    off = (*a.shape[:-1], a.shape[-1] - 1)
    for name, x in (("b", b), ("c", c)):
        if x.shape != off or x.dtype != a.dtype:
            raise ValueError(f"bk_core: {name} is {x.dtype} {tuple(x.shape)}, but a asks for {a.dtype} {off}")
    kind = torch.complex128 if a.dtype == torch.float64 else torch.complex64
    if z.dtype != kind or z.shape not in ((), a.shape[:-1]):
        asked = f"{kind} {tuple(a.shape[:-1])} or ()"
        raise ValueError(f"bk_core: z is {z.dtype} {tuple(z.shape)}, but a asks for {asked}")
