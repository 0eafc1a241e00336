"""What can be measured: every probe by name, with the questions it answers. Imports no torch.

A probe's module holds one function, ``measure(claim, bench) -> Measurement``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from muse.claims.claim import Claim, Data, Number, Signature
from muse.claims.measurement import Measurement
from muse.models import PRESETS
from muse.probes.bench import Bench


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"unknown model, expected one of {', '.join(PRESETS)}")
    return name


Model = Annotated[str, AfterValidator(_preset)]
Size = Annotated[int, Field(gt=0)]
Sizes = Annotated[list[Size], Field(min_length=6)]
"""A slope needs at least six sizes."""


class OfArithmetic(Data):
    """Operands as printed, each standing for every number that rounds to it; whole numbers are exact."""

    operation: Literal["value", "sum", "difference", "change", "reduction", "distinct"]
    operands: Annotated[list[Number], Field(min_length=1)]

    @model_validator(mode="after")
    def _countable(self) -> OfArithmetic:
        wanted = {"value": 1, "difference": 2, "change": 2, "reduction": 2}.get(self.operation)
        if wanted and len(self.operands) != wanted:
            raise ValueError(f"{self.operation} takes {wanted} operands, found {len(self.operands)}")
        if self.operation in ("change", "reduction") and not self.operands[1]:
            raise ValueError(f"{self.operation} is relative to its second operand, which is 0")
        return self


class OfModel(Data):
    """A preset, alone or against another one."""

    model: Model
    against: Model | None = None


class OfTrace(Data):
    """One forward pass by the documents' settings."""

    model: Model
    named: str | None = None
    tokens: Size = 512


class OfMemory(OfModel):
    """One forward pass, or one training step, alone or against another model's."""

    tokens: Size = 512
    batch: Size = 1
    dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    train: bool = False
    sequence: tuple[Model, ...] = ()
    """The models that the documented procedure measures in one process, in order; by default those named."""
    budget: Size | None = None
    """A hard cap, in bytes."""

    @model_validator(mode="after")
    def _in_sequence(self) -> OfMemory:
        for name in (self.model, self.against):
            if self.sequence and name and name not in self.sequence:
                raise ValueError(f"the sequence lacks {name}")
        return self


class OfAttention(Data):
    """One layer's attention alone, at one or several lengths."""

    model: Model
    part: Literal["layer", "mixing"] = "layer"
    """The whole layer, or the mixing of tokens between its projections."""
    tokens: list[Size]
    batch: Size = 1
    width: Size | None = None
    heads: Size | None = None
    curvature: Number | None = None


class OfScaling(OfAttention):
    """The same at enough lengths for a slope."""

    tokens: Sizes


class OfSpeedup(OfAttention):
    """One layer's attention against another's."""

    against: Model


class OfSpeed(Data):
    """A whole forward pass against another model's, timed."""

    model: Model
    against: Model
    tokens: Size = 512
    batch: Size = 1


class OfCurvature(Data):
    """Phase 8's attention at one curvature, in float64 on the CPU, on layer-normalised random inputs."""

    curvature: Annotated[Number, Field(gt=0)]
    causal: bool = False


_MEMORY = {"model": "bytes", "peak": "bytes", "activation": "bytes", "workspace": "bytes"}
_COMPARED = {f"{name}_difference": "bytes" for name in _MEMORY} | {f"{name}_change": "ratio" for name in _MEMORY}
_OF_MEMORY = _MEMORY | {"logits_share": "ratio"} | _COMPARED

PROBES: dict[str, Signature] = {
    "arithmetic": Signature("muse.probes.arithmetic", {"result": "*"}, OfArithmetic),
    "parameters": Signature(
        "muse.probes.parameters",
        {
            "total": "count",
            "formula": "count",
            "total_difference": "count",
            "total_change": "ratio",
            "embedding_saved": "ratio",
            "ffn_saved": "ratio",
            "width": "count",
            "layers": "count",
        },
        OfModel,
        compares=frozenset({"total_difference", "total_change"}),
    ),
    "trace": Signature(
        "muse.probes.trace",
        {
            "checkpoints": "count",
            "custom_operators": "count",
            "modules_named": "count",
            "weight_bytes": "bytes",
            "output_bytes": "bytes",
        },
        OfTrace,
    ),
    "curvature": Signature(
        "muse.probes.curvature",
        {"exact_share": "ratio", "tangent_error": "ratio", "exact_error": "ratio"},
        OfCurvature,
    ),
    "predicted_memory": Signature("muse.probes.predicted_memory", _OF_MEMORY, OfMemory, compares=frozenset(_COMPARED)),
    "memory": Signature("muse.probes.memory", _OF_MEMORY, OfMemory, compares=frozenset(_COMPARED), needs=("gpu",)),
    "attention_operations": Signature(
        "muse.probes.attention_operations", {"slope": "order", "mixing_share": "ratio"}, OfAttention
    ),
    "predicted_attention_memory": Signature(
        "muse.probes.predicted_attention_memory", {"slope": "order", "peak_change": "ratio"}, OfAttention
    ),
    "attention_memory": Signature("muse.probes.attention_memory", {"slope": "order"}, OfScaling, needs=("gpu",)),
    "attention_time": Signature(
        "muse.probes.attention_time", {"slope": "order"}, OfScaling, needs=("gpu",), timed=True
    ),
    "attention_speedup": Signature(
        "muse.probes.attention_speedup", {"speedup": "ratio"}, OfSpeedup, needs=("gpu",), timed=True
    ),
    "forward_speed": Signature(
        "muse.probes.forward_speed", {"cost_change": "ratio"}, OfSpeed, needs=("gpu",), timed=True
    ),
}


def measure(claim: Claim, bench: Bench) -> Measurement:
    """Let the claim's probe measure it. Raises Unmeasured when it cannot."""
    assert claim.probe is not None
    measurement: Measurement = import_module(PROBES[claim.probe].module).measure(claim, bench)
    return measurement
