"""How the measured memory of a pass or step, beyond what is held for other purposes, grows with the tokens."""

from __future__ import annotations

from typing import Any

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory import peak
from muse.memory.card import this_card
from muse.memory.isolate import isolate
from muse.memory.predict import predict, workspace_bytes
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.workloads import question, subject, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the activations, each length in a process of its own."""
    lengths = claim.given["lengths"]
    with machine.lease(exclusive=False):
        found = [_activations(bench, {**subject(claim.given), "tokens": n}) for n in lengths]
    return slope(lengths, found, Scope.MEASURED)


def _activations(bench: Bench, settings: dict[str, Any]) -> int:
    what, mine = workload(settings), bench.settings

    def answer() -> int:
        with machine.admission(lambda: predict(what, workspace_bytes(mine.cublas_workspace), this_card()).reserved):
            found = isolate(peak.sound, what, None, environment=mine.environment, timeout=mine.timeout)
        return found.by_kind["activations"]

    return bench.reading({"memory_growth": question(what, settings["model"])}, answer)
