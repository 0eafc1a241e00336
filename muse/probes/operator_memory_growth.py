"""How the memory of an operator's forward pass, its output included, grows with the tokens."""

from __future__ import annotations

from functools import partial

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory import peak
from muse.memory.isolate import isolate
from muse.probes.bench import Bench
from muse.probes.operator_time_growth import ROWS, call
from muse.probes.operators import operator
from muse.probes.slope import slope


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the most bytes that a call needs at once beyond its inputs."""
    name, lengths, settings = claim.given["operator"], claim.given["lengths"], bench.settings
    calls = [partial(call, name, n, ROWS[name]) for n in lengths]
    with machine.lease(exclusive=False), machine.admission(operator(name).needs):
        found = isolate(peak.extra, calls, "float16", environment=settings.environment, timeout=settings.timeout)
    return slope(lengths, found, Scope.MEASURED)
