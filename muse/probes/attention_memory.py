"""Memory of one attention layer beyond its inputs and weights, measured on this machine's GPU."""

from __future__ import annotations

from functools import partial

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory import peak
from muse.memory.isolate import isolate
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.workloads import attention_call

AT_MOST = 8 * 2**30
"""Bytes; one layer of the widest preset needs less at any length of the ledger's."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The growth of the peak with the tokens."""
    given, settings = claim.given, bench.settings
    calls = [partial(attention_call, given, given["model"], n) for n in given["tokens"]]

    def answer() -> list[int]:
        return isolate(peak.extra, calls, "float16", environment=settings.environment, timeout=settings.timeout)

    with machine.lease(exclusive=False), machine.admission(AT_MOST):
        found = bench.reading({"attention_memory": given}, answer)
    return slope(given["tokens"], found, Scope.MEASURED)
