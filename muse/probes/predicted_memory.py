"""Peak memory predicted from fake tensors for a card, by the sound procedure or by the documents' own; no GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory.card import DEFAULT, Card, card
from muse.memory.predict import Footprint, predict, predict_documented, workspace_bytes
from muse.memory.workload import Workload
from muse.probes.bench import Bench
from muse.probes.comparison import Bytes, compared
from muse.probes.workloads import in_sequence, question, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The claim's bytes as the claim's card would allocate them; without one, the default card."""
    chosen = card(claim.given.get("card", DEFAULT))
    return compared(claim, Scope.PREDICTED, lambda settings: read(claim, bench, settings, chosen))


def read(claim: Claim, bench: Bench, settings: dict[str, Any], chosen: Card) -> Bytes:
    """Bytes of a workload's settings on a card, by the claim's procedure."""
    return (_documented if claim.protocol == "documented" else sound)(claim, bench, settings, chosen)


def sound(claim: Claim, bench: Bench, settings: dict[str, Any], chosen: Card) -> Bytes:
    """One workload in a process of its own. Activation is the peak without what is held for other purposes."""
    what, workspace = workload(settings), workspace_bytes(bench.settings.cublas_workspace)
    asked = {"predicted": question(what, settings["model"]), "workspace": workspace, "card": chosen.facts()}
    found = bench.reading(asked, lambda: _facts(predict(what, workspace, chosen)))
    kinds = found["by_kind"]
    return _named(what, found, chosen) | {
        "activation": kinds["activations"] + kinds["scratch"],
        "gradients": kinds["gradients"],
        "optimizer": kinds["optimizer"],
    }


def _documented(claim: Claim, bench: Bench, settings: dict[str, Any], chosen: Card) -> Bytes:
    """One workload of the documents' sequence. Activation is the peak less what was allocated once loaded."""
    sequence = in_sequence(claim.given)
    what = [workload(one) for one in sequence]
    reset = claim.given.get("reset", "before_loading")
    told = [question(one, named["model"]) for one, named in zip(what, sequence, strict=True)]
    place = sequence.index(settings)
    found = in_order(bench, what, told, reset, chosen)[place]
    return _named(what[place], found, chosen) | {"activation": found["peak"] - found["model"]}


def in_order(
    bench: Bench, what: Sequence[Workload], told: list[dict[str, Any]], reset: str, chosen: Card
) -> list[dict[str, Any]]:
    """Every workload of a documented sequence; `told` is the sequence in words."""
    workspace = workspace_bytes(bench.settings.cublas_workspace)
    asked = {"predicted_sequence": told, "reset": reset, "workspace": workspace, "card": chosen.facts()}
    found: list[dict[str, Any]] = bench.reading(
        asked, lambda: [_facts(one) for one in predict_documented(what, reset, workspace, chosen)]
    )
    return found


def _facts(found: Footprint) -> dict[str, Any]:
    return {
        "parameters": found.parameters,
        "model": found.model_bytes,
        "peak": found.total_bytes,
        "workspace": found.workspace,
        "reserved": found.reserved,
        "by_kind": dict(found.by_kind),
    }


def _named(what: Workload, found: dict[str, Any], chosen: Card) -> dict[str, Any]:
    kept = {name: found[name] for name in ("model", "parameters", "peak", "workspace", "reserved")}
    how = {"by_kind": found["by_kind"], "card": chosen.name}
    return {**kept, "logits": what.logits_bytes, "how": how}
