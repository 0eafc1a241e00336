"""How the time of a whole pass or step grows with the tokens."""

from __future__ import annotations

from functools import partial
from statistics import median

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.speed import call
from muse.probes.timing import times
from muse.probes.workloads import subject, workload

BASELINE = 16
"""Tokens at which a call costs what it costs at any length, and little else."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the time over the time at a handful of tokens."""
    settings, lengths = subject(claim.given), claim.given["lengths"]
    calls = {str(n): partial(call, workload({**settings, "tokens": n})) for n in (BASELINE, *lengths)}
    middle = {int(n): median(samples) for n, samples in times(calls, bench, "ahead").items()}
    return slope(lengths, [middle[n] for n in lengths], Scope.MEASURED, baseline=middle[BASELINE])
