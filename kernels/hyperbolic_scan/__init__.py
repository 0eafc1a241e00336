"""The recurrence h_t = (a_t (x) h_(t-1)) (+) b_t of gyrovectors, on the Poincaré ball."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from kernels.dispatch import implementation
from kernels.hyperbolic_scan import reference


def hyperbolic_scan(
    a: Float[Tensor, "*B N A"],
    b: Float[Tensor, "*B N S"],
    curvature: Float[Tensor, ""] | float = 1.0,
    initial: Float[Tensor, "*B S"] | None = None,
) -> Float[Tensor, "*B N S"]:
    r"""All states of a Moebius recurrence along the second axis from the right.

    .. math:: h_t = (a_t \otimes h_{t-1}) \oplus b_t, \qquad a \otimes h = \exp_0(a \odot \log_0 h)

    .. math:: x \oplus y = \frac{(1 + 2c\,x \cdot y + c|y|^2)\, x + (1 - c|x|^2)\, y}
                                {1 + 2c\,x \cdot y + c^2 |x|^2 |y|^2}

    Parameters
    ----------
    a
        Factors: one per step (A = 1), for which :math:`\otimes` is the gyrovector space's scalar multiplication, or
        one per step and channel (A = S), which scale the channels of the tangent vector at the origin.
    b
        Points of the open ball :math:`c |x|^2 < 1`.
    curvature
        c > 0, of a ball of curvature -c; it gets a gradient if it is a tensor.
    initial
        The state before the first step, a point of the ball; the origin if None.

    Returns
    -------
    The states, computed in float32 at least. They never leave the ball, so nothing is projected. A point on the
    boundary or outside makes its state and all later ones NaN; so does, in float32, a state farther than about
    80 / sqrt(c) from the origin, where 1 - c |h|^2 underflows.

    Raises
    ------
    ValueError
        Shapes or dtypes that do not fit together, or no step at all.

    References
    ----------
    Ungar, "A gyrovector space approach to hyperbolic geometry", 2008; Ganea et al., "Hyperbolic neural networks",
    NeurIPS 2018.
    """
    initial = b.new_zeros(*b.shape[:-2], b.shape[-1]) if initial is None else initial
    _check(a, b, initial)
    precise = torch.promote_types(b.dtype, torch.float32)
    c = torch.as_tensor(curvature, dtype=precise, device=b.device)
    if implementation(b) == "reference":
        return reference.hyperbolic_scan(a, b, c, initial)
    from kernels.hyperbolic_scan import autograd

    steps, width = b.shape[-2:]
    rows = b.reshape(-1, steps, width)
    states, _ = autograd.hyperbolic_scan(
        a.reshape(-1, steps, a.shape[-1]),
        rows if rows.stride(-1) == 1 else rows.contiguous(),
        c,
        initial.reshape(-1, width).contiguous(),
    )
    return states.reshape(b.shape).to(b.dtype)


def _check(a: Tensor, b: Tensor, initial: Tensor) -> None:
    if not b.numel():
        raise ValueError(f"hyperbolic_scan: b {tuple(b.shape)} has no element to scan")
    if a.shape[:-1] != b.shape[:-1] or a.shape[-1] not in {1, b.shape[-1]}:
        raise ValueError(
            f"hyperbolic_scan: a is {tuple(a.shape)}, but b asks for {(*b.shape[:-1], 1)} or {tuple(b.shape)}"
        )
    if initial.shape != (*b.shape[:-2], b.shape[-1]):
        raise ValueError(f"hyperbolic_scan: initial is {tuple(initial.shape)}, but b is {tuple(b.shape)}")
    if len(dtypes := {x.dtype for x in (a, b, initial)}) > 1:
        raise ValueError(f"hyperbolic_scan: a, b and initial must share one dtype, got {sorted(map(str, dtypes))}")
