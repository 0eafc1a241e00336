"""Peak memory predicted from fake tensors, by the sound procedure or by the documents' own; needs no GPU."""

from __future__ import annotations

from typing import Any

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory.predict import predict, workspace_bytes
from muse.probes.bench import Bench
from muse.probes.comparison import Bytes, compared
from muse.probes.workloads import in_sequence, question, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's bytes as a GPU would allocate them."""
    read = _documented if claim.protocol == "documented" else _sound
    return compared(claim, Scope.PREDICTED, lambda settings: read(claim, bench, settings))


def _sound(claim: Claim, bench: Bench, settings: dict[str, Any]) -> Bytes:
    """One workload in a process of its own. Activation is the peak without what is held for other purposes."""
    what, found = _predicted(bench, settings)
    kinds = found["by_kind"]
    return {
        **found["named"],
        "activation": kinds["activations"],
        "gradients": kinds["gradients"],
        "optimizer": kinds["optimizer"],
        "logits": what.logits_bytes,
        "how": {"by_kind": kinds},
    }


def _documented(claim: Claim, bench: Bench, settings: dict[str, Any]) -> Bytes:
    """One workload of the documents' sequence, where all after the first are charged with the workspace as weights.

    A peak that is reset before loading includes loading's own.
    """
    what, found = _predicted(bench, settings)
    named, workspace = found["named"], found["by_kind"]["workspace"]
    left = 0 if in_sequence(claim.given).index(settings) == 0 else workspace
    peak = named["peak"]
    if claim.given.get("reset", "before_loading") == "before_loading":
        peak = max(peak, found["loading"] + left)
    model = named["model"] + left
    return {**named, "model": model, "peak": peak, "activation": peak - model, "logits": what.logits_bytes}


def _predicted(bench: Bench, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    what, workspace = workload(settings), workspace_bytes(bench.settings.cublas_workspace)

    def answer() -> dict[str, Any]:
        found = predict(what, workspace)
        held = found.by_kind["workspace"]
        named = dict.fromkeys(("model", "parameters"), found.model_bytes)
        named |= {"peak": found.total_bytes, "workspace": held}
        return {"named": named, "by_kind": dict(found.by_kind), "loading": found.loading_bytes}

    return what, bench.reading({"predicted": question(what, settings["model"]), "workspace": workspace}, answer)
