"""Count the arithmetic of one attention layer on fake tensors: exact, no GPU.

Matrix products are counted, two operations per multiply-add; elementwise work, which is O(N d) in the linear
mode and O(N^2) in the exact one, is not.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.probes.bench import Bench
from muse.probes.operations import counter
from muse.probes.slope import slope
from muse.probes.workloads import attention_call


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The growth of the operations with the tokens, or the share of them that mixes tokens at one length."""
    given = claim.given
    if claim.quantity == "mixing_share":
        mixing, layer = (_count({**given, "part": part}, given["tokens"][0]) for part in ("mixing", "layer"))
        return certain(Fraction(mixing, layer), Scope.EXACT, mixing=mixing, layer=layer)
    return slope(given["tokens"], [_count(given, n) for n in given["tokens"]], Scope.EXACT)


def _count(given: dict[str, Any], tokens: int) -> int:
    counting = counter()
    with FakeTensorMode(), torch.no_grad(), counting:
        attention_call(given, given["model"], tokens, torch.device("cpu"))()
    return counting.get_total_flops()
