"""How the time of one attention layer grows with the tokens."""

from __future__ import annotations

from functools import partial
from statistics import median

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.timing import times
from muse.probes.workloads import attention_call

BASELINE = 16
"""Tokens at which a call costs what it costs at any length, and little else."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the time over the time at a handful of tokens."""
    given = claim.given
    calls = {str(n): partial(attention_call, given, given["model"], n) for n in (BASELINE, *given["tokens"])}
    middle = {int(n): median(samples) for n, samples in times(calls, bench, "replayed").items()}
    return slope(given["tokens"], [middle[n] for n in given["tokens"]], Scope.MEASURED, baseline=middle[BASELINE])
