"""The linear recurrence h_t = a_t h_(t-1) + b_t, in parallel over time."""

from __future__ import annotations

import torch
from jaxtyping import Inexact
from torch import Tensor

from kernels.dispatch import implementation
from kernels.linear_scan import autograd, reference


def linear_scan(
    a: Inexact[Tensor, "*B N"] | None,
    b: Inexact[Tensor, "*B N"],
    initial: Inexact[Tensor, "*B"] | None = None,
    *,
    reverse: bool = False,
) -> Inexact[Tensor, "*B N"]:
    r"""All states of a linear recurrence along the last axis.

    .. math:: h_t = a_t h_{t-1} + b_t, \quad h_{-1} = \text{initial}

    or, when `reverse`, :math:`h_t = a_t h_{t+1} + b_t` with :math:`h_N` = initial.

    Parameters
    ----------
    a
        Factors, real or complex. None stands for ones everywhere: the cumulative sum, which then reads `b` alone.
    b
        Increments, of the same shape and dtype.
    initial
        The state before the first step; zero if None.
    reverse
        Whether time runs from the last element to the first.

    Returns
    -------
    The states h, in O(N) operations and with exact gradients for `a`, `b` and `initial` in O(N).
    Half precision is accumulated in float32 and rounded when stored.

    Raises
    ------
    ValueError
        If `b` is empty, or a shape or dtype differs from that of `b`.

    References
    ----------
    Blelloch, "Prefix sums and their applications", 1990; Martin and Cundy, "Parallelizing linear recurrent
    neural nets over sequence length", ICLR 2018.
    """
    initial = b.new_zeros(b.shape[:-1]) if initial is None else initial
    _check(a, b, initial)
    if implementation(b) == "reference":
        return reference.linear_scan(a, b, initial, reverse=reverse)
    if a is None and b.is_complex():
        a = torch.ones_like(b)
    return autograd.linear_scan(a, b, initial, reverse=reverse)


def _check(a: Tensor | None, b: Tensor, initial: Tensor) -> None:
    if not b.numel():
        raise ValueError(f"linear_scan: b of shape {tuple(b.shape)} has no element to scan")
    for name, x, shape in (("a", a, b.shape), ("initial", initial, b.shape[:-1])):
        if x is not None and (x.shape != shape or x.dtype != b.dtype):
            has = f"{x.dtype} {tuple(x.shape)}"
            raise ValueError(f"linear_scan: {name} is {has}, but b asks for {b.dtype} {tuple(shape)}")
