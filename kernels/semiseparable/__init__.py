"""A tridiagonal matrix plus one of low rank: its product with a sequence, and its resolvent's diagonal."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from kernels.dispatch import implementation
from kernels.semiseparable import autograd, parallel, reference


def semiseparable(  # the matrix is five tensors
    x: Float[Tensor, "*B N d"],
    a: Float[Tensor, " N"],
    b: Float[Tensor, " M"],
    c: Float[Tensor, " M"],
    u: Float[Tensor, "N r"],
    v: Float[Tensor, "N r"],
) -> Float[Tensor, "*B N d"]:
    r"""Multiply a sequence by a tridiagonal matrix plus one of rank r, in O(N r d).

    .. math:: y = (T + U V^\top) x, \quad
              y_n = a_n x_n + b_n x_{n+1} + c_{n-1} x_{n-1} + U_n \sum_m V_m^\top x_m

    Parameters
    ----------
    x
        Sequences of N vectors.
    a, b, c
        Diagonal of T, entries above it T[n, n+1], and entries below it T[n+1, n]; M = N - 1.
    u, v
        U and V.

    Returns
    -------
    y, of the shape of x; gradients for x (by the transposed matrix) and for every parameter are exact.

    Raises
    ------
    ValueError
        If `x` is empty, or a shape or dtype does not fit that of `x`.

    References
    ----------
    Vandebril, Van Barel and Mastronardi, "Matrix Computations and Semiseparable Matrices", 2008.
    """
    if not x.numel():
        raise ValueError(f"semiseparable: x of shape {tuple(x.shape)} has no element")
    _check(a, b, c, u, v, rows=x.shape[-2], dtype=x.dtype)
    if implementation(x) == "reference":
        return reference.semiseparable(x, a, b, c, u, v)
    batches = x.reshape(-1, *x.shape[-2:])
    return autograd.semiseparable(batches, a, b, c, u, v)[0].reshape(x.shape)


def semiseparable_diagonal(  # the matrix is five tensors
    a: Float[Tensor, " N"],
    b: Float[Tensor, " M"],
    c: Float[Tensor, " M"],
    u: Float[Tensor, "N r"],
    v: Float[Tensor, "N r"],
    z: Complex[Tensor, ""],
) -> Complex[Tensor, " N"]:
    r"""Diagonal of (T + U V^T - z I)^-1 by Woodbury's identity, in O(N r^2).

    .. math:: \operatorname{diag} M^{-1} - \operatorname{diag}\bigl(
              M^{-1} U (I + V^\top M^{-1} U)^{-1} V^\top M^{-1}\bigr), \quad M = T - z I

    It is plain PyTorch on every device, in about 2 log2 N steps. It exists where z is no eigenvalue of a block
    T[i:j, i:j] (certain when Im z != 0 and every b_n c_n >= 0) nor of T + U V^T. Elsewhere a pivot vanishes and the
    result is infinite or NaN, or the r x r system is singular and `torch.linalg.LinAlgError` is raised.

    Parameters
    ----------
    a, b, c, u, v
        As for `semiseparable`.
    z
        One complex number: complex128 with float64, complex64 with float32.

    Raises
    ------
    ValueError
        If a shape or dtype does not fit that of `a`.
    """
    kinds = {torch.float32: torch.complex64, torch.float64: torch.complex128}
    if kinds.get(a.dtype) != z.dtype:
        allowed = "torch.float32 with torch.complex64, or torch.float64 with torch.complex128"
        raise ValueError(f"semiseparable: a is {a.dtype} and z is {z.dtype}; allowed are {allowed}")
    _check(a, b, c, u, v, rows=max(1, len(a)), dtype=a.dtype)
    return parallel.semiseparable_diagonal(a, b, c, u, v, z)


def _check(  # the matrix is five tensors
    a: Tensor, b: Tensor, c: Tensor, u: Tensor, v: Tensor, *, rows: int, dtype: torch.dtype
) -> None:
    shapes = ((rows,), (rows - 1,), (rows - 1,), (rows, u.shape[-1]), (rows, u.shape[-1]))
    for name, tensor, shape in zip("abcuv", (a, b, c, u, v), shapes, strict=True):
        if tensor.shape != shape or tensor.dtype != dtype:
            has = f"{tensor.dtype} {tuple(tensor.shape)}"
            raise ValueError(f"semiseparable: {name} is {has}, but {rows} rows ask for {dtype} {shape}")
