"""Peak memory predicted from fake tensors, by the sound procedure or by the documents' own; needs no GPU."""

from __future__ import annotations

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory.predict import predict, workspace_bytes
from muse.probes.bench import Bench
from muse.probes.comparison import Bytes, compared
from muse.probes.workloads import in_sequence, question, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's bytes as a GPU would allocate them."""
    return compared(claim, Scope.PREDICTED, lambda model: _read(claim, bench, model))


def _read(claim: Claim, bench: Bench, model: str) -> Bytes:
    """By the documented procedure, every model after the first is charged with the workspace as its own weight."""
    what = workload(claim.given, model)
    workspace = workspace_bytes(bench.settings.cublas_workspace)

    def answer() -> dict[str, int]:
        footprint = predict(what, workspace)
        return {"model": footprint.model_bytes, "peak": footprint.total_bytes}

    found = bench.reading({"predicted": question(what, model), "workspace": workspace}, answer)
    first = claim.protocol == "sound" or in_sequence(claim.given).index(model) == 0
    loaded = found["model"] + (0 if first else workspace)
    activation = found["peak"] - (found["model"] + workspace if claim.protocol == "sound" else loaded)
    return {
        "model": loaded,
        "peak": found["peak"],
        "activation": activation,
        "workspace": workspace,
        "logits": what.logits_bytes,
    }
