"""Memory of one attention layer beyond its inputs and weights, predicted from fake tensors."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.memory.card import DEFAULT, card
from muse.memory.predict import predict_extra
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.workloads import attention_call


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The growth of the peak with the tokens, or how far it lies above the linear mode's at one length."""
    given = claim.given
    if claim.quantity == "peak_change":
        n = given["tokens"][0]
        mine, linear = _extra(given, n), _extra({**given, "curvature": "0.01"}, n)
        return certain(Fraction(mine - linear, linear), Scope.PREDICTED, peak=mine, linear_mode=linear)
    return slope(given["tokens"], [_extra(given, n) for n in given["tokens"]], Scope.PREDICTED)


def _extra(given: dict[str, Any], tokens: int) -> int:
    return predict_extra(partial(attention_call, given, given["model"], tokens), "float16", card(DEFAULT))
