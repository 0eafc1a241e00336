"""Peak memory measured on this machine's GPU, by the sound procedure or by the documents' own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.errors import Unmeasured
from muse.memory import peak
from muse.memory.card import this_card
from muse.memory.isolate import isolate
from muse.probes import predicted_memory as predicted
from muse.probes.bench import Bench
from muse.probes.comparison import Bytes, compared
from muse.probes.workloads import in_sequence, question, workload

MARGIN, SPARE = 1.25, 256 * 2**20
"""How far beyond its prediction a measurement may go."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's bytes; under a budget the evidence is emulated. What fits a budget is 1, what runs out of it 0."""
    scope = Scope.EMULATED if claim.given.get("budget") else Scope.MEASURED
    with machine.lease(exclusive=False):
        try:
            return compared(claim, scope, lambda settings: read(claim, bench, settings))
        except Unmeasured as error:
            if claim.quantity != "fits" or error.reason != "out_of_memory":
                raise
            return certain(0, scope, out_of_memory=error.detail)


def read(claim: Claim, bench: Bench, settings: dict[str, Any]) -> Bytes:
    """Bytes of a workload's settings, by the claim's procedure."""
    return (_documented if claim.protocol == "documented" else _sound)(claim, bench, settings)


def _sound(claim: Claim, bench: Bench, settings: dict[str, Any]) -> Bytes:
    """One workload in a process of its own. Activation is the peak without what is held for other purposes."""
    what = workload(settings)
    cap = claim.given.get("budget")

    def answer() -> dict[str, Any]:
        if cap is not None:
            with machine.admission(cap):
                return asdict(_isolated(bench, peak.sound, what, cap))

        def needs() -> int:
            return int(predicted.sound(claim, bench, settings, this_card())["reserved"])

        return asdict(_admitted(bench, needs, peak.sound, what, None))

    found = bench.reading({"sound": question(what, settings["model"]), "cap": cap}, answer)
    kinds = found["by_kind"]
    return _named(what.logits_bytes, found, kinds["activations"]) | {
        "gradients": kinds["gradients"],
        "optimizer": kinds["optimizer"],
        "how": found["how"] | {"by_kind": kinds},
    }


def _documented(claim: Claim, bench: Bench, settings: dict[str, Any]) -> Bytes:
    """One workload of the documents' sequence. Activation is the peak less what was allocated once loaded."""
    sequence = in_sequence(claim.given)
    what = [workload(one) for one in sequence]
    reset = claim.given.get("reset", "before_loading")
    asked = [question(one, named["model"]) for one, named in zip(what, sequence, strict=True)]

    def answer() -> list[dict[str, Any]]:
        def needs() -> int:
            return max(row["reserved"] for row in predicted.in_order(bench, what, asked, reset, this_card()))

        return [asdict(row) for row in _admitted(bench, needs, peak.documented, what, reset)]

    place = sequence.index(settings)
    found = bench.reading({"documented": asked, "reset": reset}, answer)[place]
    return _named(what[place].logits_bytes, found, found["peak"] - found["model"])


def _named(logits: int, found: dict[str, Any], activation: int) -> dict[str, Any]:
    kept = {name: found[name] for name in ("model", "peak", "workspace", "parameters", "reserved")}
    return {**kept, "activation": activation, "logits": logits, "how": found["how"]}


def _admitted(bench: Bench, needs: Callable[[], int], function: Any, *args: Any) -> Any:
    """In a process of its own beside others, which takes what was predicted and little more, or is stopped."""
    if not machine.gpus():
        return _isolated(bench, function, *args)
    size = int(needs() * MARGIN) + SPARE
    with machine.admission(size):
        return _isolated(bench, peak.within, size, function, *args)


def _isolated(bench: Bench, function: Any, *args: Any) -> Any:
    return isolate(function, *args, environment=bench.settings.environment, timeout=bench.settings.timeout)
