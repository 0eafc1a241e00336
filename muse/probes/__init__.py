"""What can be measured: every probe by name, with the questions it answers. Imports no torch.

A probe's module holds one function, ``measure(claim, bench) -> Measurement``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from muse.claims.claim import Claim, Data, Signature
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.given import (
    OfArithmetic,
    OfAttention,
    OfCapacity,
    OfCurvature,
    OfDecoding,
    OfFormula,
    OfGrowth,
    OfMemory,
    OfModel,
    OfOperator,
    OfOperatorGrowth,
    OfOperatorParameters,
    OfParameterGrowth,
    OfPrediction,
    OfResolvent,
    OfScaling,
    OfSpeed,
    OfSpeedup,
    OfTrace,
)

FIT = "fit"
"""The document that claims of `muse fit` belong to: none of the ledger's."""

_BYTES = ("model", "peak", "activation", "workspace", "parameters", "gradients", "optimizer")
_RELATIONS = {"difference": "bytes", "change": "ratio", "saved": "ratio"}
_COMPARED = {f"{name}_{relation}": unit for name in _BYTES for relation, unit in _RELATIONS.items()}
_SHARES = {"logits_share": "ratio", "parameters_share": "ratio", "activation_share": "ratio"}
_OF_MEMORY = dict.fromkeys(_BYTES, "bytes") | {"fits": "count"} | _SHARES | _COMPARED
_COUNTED = {"total_difference": "count", "total_change": "ratio", "total_saved": "ratio", "total_ratio": "ratio"}
_OF_CAPACITY = {"parameters": "count", "size": "count", "parameters_ratio": "ratio"}
_OF_SLOPE = {"slope": "order"}
_GPU = ("gpu",)


def _probe(name: str, quantities: dict[str, str], given: type[Data], *compared: str, **more: Any) -> Signature:
    requires = dict.fromkeys(compared, "against") | ({"fits": "budget"} if "fits" in quantities else {})
    return Signature(f"muse.probes.{name}", quantities, given, requires=requires, **more)


PROBES: dict[str, Signature] = {
    "arithmetic": _probe("arithmetic", {"result": "*"}, OfArithmetic),
    "parameters": _probe(
        "parameters",
        {
            "total": "count",
            "size": "bytes",
            "formula": "count",
            "embedding_saved": "ratio",
            "ffn_saved": "ratio",
            "width": "count",
            "layers": "count",
            **_COUNTED,
        },
        OfModel,
        *_COUNTED,
    ),
    "parameter_growth": _probe("parameter_growth", _OF_SLOPE, OfParameterGrowth),
    "closed_formula": _probe(
        "closed_formula", {"count": "count", "share": "ratio", "kept": "ratio", "saved": "ratio"}, OfFormula
    ),
    "trace": _probe(
        "trace",
        {
            "checkpoints": "count",
            "custom_operators": "count",
            "modules_named": "count",
            "weight_bytes": "bytes",
            "output_bytes": "bytes",
        },
        OfTrace,
    ),
    "curvature": _probe(
        "curvature", {"exact_share": "ratio", "tangent_error": "ratio", "exact_error": "ratio"}, OfCurvature
    ),
    "predicted_memory": _probe("predicted_memory", _OF_MEMORY, OfMemory, *_COMPARED),
    "memory": _probe("memory", _OF_MEMORY, OfMemory, *_COMPARED, needs=_GPU),
    "prediction": _probe("prediction", {"miss": "ratio", "near": "ratio"}, OfPrediction, needs=_GPU),
    "predicted_capacity": _probe("capacity", _OF_CAPACITY, OfCapacity, "parameters_ratio"),
    "capacity": _probe("capacity", _OF_CAPACITY, OfCapacity, "parameters_ratio", needs=_GPU),
    "operations": _probe("operations", _OF_SLOPE, OfGrowth),
    "predicted_memory_growth": _probe("predicted_memory_growth", _OF_SLOPE, OfGrowth),
    "memory_growth": _probe("memory_growth", _OF_SLOPE, OfGrowth, needs=_GPU),
    "time_growth": _probe("time_growth", _OF_SLOPE, OfGrowth, needs=_GPU, timed=True),
    "speed": _probe("speed", {"cost": "ratio", "cost_change": "ratio"}, OfSpeed, needs=_GPU, timed=True),
    "attention_operations": _probe("attention_operations", _OF_SLOPE | {"mixing_share": "ratio"}, OfAttention),
    "predicted_attention_memory": _probe(
        "predicted_attention_memory", _OF_SLOPE | {"peak_change": "ratio"}, OfAttention
    ),
    "attention_memory": _probe("attention_memory", _OF_SLOPE, OfScaling, needs=_GPU),
    "attention_time": _probe("attention_time", _OF_SLOPE, OfScaling, needs=_GPU, timed=True),
    "attention_speedup": _probe("attention_speedup", {"speedup": "ratio"}, OfSpeedup, needs=_GPU, timed=True),
    "operator": _probe(
        "operator",
        {"seconds": "seconds", "floor_ratio": "ratio", "cost": "ratio", "speedup": "ratio"},
        OfOperator,
        "cost",
        "speedup",
        needs=_GPU,
        timed=True,
    ),
    "operator_agreement": _probe(
        "operator_agreement", {"excess": "ratio", "relative_error": "ratio"}, OfOperator, needs=_GPU
    ),
    "operator_memory": _probe("operator_memory", {"extra_bytes": "bytes"}, OfOperator, needs=_GPU),
    "operator_memory_growth": _probe("operator_memory_growth", _OF_SLOPE, OfOperatorGrowth, needs=_GPU),
    "operator_time_growth": _probe("operator_time_growth", _OF_SLOPE, OfOperatorGrowth, needs=_GPU, timed=True),
    "decoding_time": _probe("decoding_time", {"cost": "ratio"}, OfDecoding, needs=_GPU, timed=True),
    "operator_operations": _probe("operator_operations", _OF_SLOPE, OfOperatorGrowth),
    "operator_parameters": _probe("operator_parameters", {"saved": "ratio"} | _OF_SLOPE, OfOperatorParameters),
    "resolvent_bounds": _probe(
        "resolvent_bounds",
        {"pointwise": "ratio", "hilbert_schmidt": "ratio", "trace": "ratio", "documented_trace": "ratio"},
        OfResolvent,
    ),
}


def measure(claim: Claim, bench: Bench) -> Measurement:
    """Let the claim's probe measure it. Raises Unmeasured when it cannot."""
    assert claim.probe is not None
    measurement: Measurement = import_module(PROBES[claim.probe].module).measure(claim, bench)
    return measurement
