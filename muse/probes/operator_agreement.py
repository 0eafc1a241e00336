"""Whether an operator computes what its definition says, forward and backward, at real sizes."""

from __future__ import annotations

import torch

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.memory.peak import gpu
from muse.probes.bench import Bench
from muse.probes.operator import shared, subject
from muse.probes.operator_calls import Subject
from muse.probes.operators import operator
from muse.probes.peers import results


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The largest error as a multiple of the definition's own, or the output's largest relative error."""
    what = subject(claim)
    ask = excess if claim.quantity == "excess" else relative_error
    found, how = shared(ask, what, bench)
    return certain(found, Scope.MEASURED, **how)


def excess(what: Subject) -> tuple[float, dict[str, object]]:
    """Of the output and every gradient, on the part of the inputs that the definition can do in double precision."""
    device = gpu()
    mine = operator(what.operator)
    found = mine.excess(mine.inputs(what.case, what.dtype, device))
    return found, what.how(device)


def relative_error(what: Subject) -> tuple[float, dict[str, object]]:
    """Of the output, element by element, against the definition in double precision."""
    device = gpu()
    mine = operator(what.operator)
    given = mine.part(mine.inputs(what.case, what.dtype, device))
    wide = {name: x.to(torch.complex128 if x.is_complex() else torch.float64) for name, x in given.items()}
    found, exact = (results(f, x, backward=False)["out"] for f, x in ((mine.call, given), (mine.definition, wide)))
    return float(((found - exact).abs() / exact.abs()).max()), what.how(device)
