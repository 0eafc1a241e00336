"""How the predicted memory of a pass or step, beyond what is held for other purposes, grows with the tokens."""

from __future__ import annotations

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory.card import DEFAULT, card
from muse.memory.predict import predict
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.workloads import subject, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the activations; the workspace, which does not grow, is left out."""
    settings, lengths = subject(claim.given), claim.given["lengths"]
    found = [predict(workload({**settings, "tokens": n}), 0, card(DEFAULT)).by_kind for n in lengths]
    return slope(lengths, [kinds["activations"] + kinds["scratch"] for kinds in found], Scope.PREDICTED)
