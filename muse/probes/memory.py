"""Peak memory measured on this machine's GPU, by the sound procedure or by the documents' own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory import peak
from muse.memory.isolate import isolate
from muse.probes.bench import Bench
from muse.probes.comparison import Bytes, compared
from muse.probes.workloads import in_sequence, question, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's bytes; under a budget the evidence is emulated."""
    scope = Scope.EMULATED if claim.given.get("budget") else Scope.MEASURED
    read = _documented if claim.protocol == "documented" else _sound
    with machine.lease(exclusive=False):
        return compared(claim, scope, lambda model: read(claim, bench, model))


def _sound(claim: Claim, bench: Bench, model: str) -> Bytes:
    """One model in a process of its own. Activation is the peak without parameters and workspace."""
    what = workload(claim.given, model)
    cap = claim.given.get("budget")

    def answer() -> dict[str, Any]:
        return asdict(_isolated(bench, peak.sound, what, cap))

    found = bench.reading({"sound": question(what, model), "cap": cap}, answer)
    activation = found["by_kind"]["activations"]
    return _named(what.logits_bytes, found, activation)


def _documented(claim: Claim, bench: Bench, model: str) -> Bytes:
    """One model of the documents' sequence. Activation is the peak less what was allocated once loaded."""
    sequence = in_sequence(claim.given)
    what = [workload(claim.given, name) for name in sequence]

    def answer() -> list[dict[str, Any]]:
        return [asdict(row) for row in _isolated(bench, peak.documented, what)]

    asked = [question(one, name) for one, name in zip(what, sequence, strict=True)]
    found = bench.reading({"documented": asked}, answer)[sequence.index(model)]
    return _named(what[0].logits_bytes, found, found["peak"] - found["model"])


def _named(logits: int, found: dict[str, Any], activation: int) -> Bytes:
    kept = {name: found[name] for name in ("model", "peak", "workspace", "parameters", "reserved")}
    return {**kept, "activation": activation, "logits": logits, "how": found["how"]}


def _isolated(bench: Bench, function: Any, *args: Any) -> Any:
    return isolate(function, *args, environment=bench.settings.environment, timeout=bench.settings.timeout)
