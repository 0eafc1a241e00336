"""What can be measured: every probe by name, with the questions it answers. Imports no torch.

A probe's module holds one function, ``measure(claim, bench) -> Measurement``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from muse.claims.claim import Claim, Data, Number, Signature
from muse.claims.measurement import Measurement
from muse.models import PRESETS
from muse.probes.bench import Bench


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"unknown model, expected one of {', '.join(PRESETS)}")
    return name


Optimizer = Literal[
    "none",
    "sgd",
    "adamw",
    "adamw8bit",
    "adafactor",
    "sgd_in_backward",
    "adamw_in_backward",
    "adamw8bit_in_backward",
    "adafactor_in_backward",
]
Part = Literal["all", "embedding", "blocks", "block", "mixer", "mixers", "ffn", "ffns", "norms", "head"]
"""A model, or one of its parts: `block`, `mixer` and `ffn` are one layer's, the plurals those of all layers."""
Model = Annotated[str, AfterValidator(_preset)]
Size = Annotated[int, Field(gt=0)]
Sizes = Annotated[list[Size], Field(min_length=6)]
"""A slope needs at least six sizes."""


class OfArithmetic(Data):
    """Operands as printed, each standing for every number that rounds to it; whole numbers are exact."""

    operation: Literal["value", "sum", "difference", "product", "bytes", "ratio", "change", "reduction", "distinct"]
    operands: Annotated[list[Number], Field(min_length=1)]

    @model_validator(mode="after")
    def _countable(self) -> OfArithmetic:
        wanted = {"value": 1, "difference": 2, "ratio": 2, "change": 2, "reduction": 2}.get(self.operation)
        if wanted and len(self.operands) != wanted:
            raise ValueError(f"{self.operation} takes {wanted} operands, found {len(self.operands)}")
        if self.operation in ("ratio", "change", "reduction") and not self.operands[1]:
            raise ValueError(f"{self.operation} is relative to its second operand, which is 0")
        return self


class OfModel(Data):
    """A preset or one of its parts, alone or against another one's same part."""

    model: Model
    part: Part = "all"
    dtype: Literal["float32", "float16"] = "float16"
    """For its size in bytes."""
    against: Model | None = None


class OfTrace(Data):
    """One forward pass by the documents' settings."""

    model: Model
    named: str | None = None
    tokens: Size = 512


class OfWorkload(Data):
    """A preset and what is run with it: one forward pass or one training step."""

    model: Model
    tokens: Size | None = None
    batch: Size | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    train: bool | None = None
    optimizer: Optimizer | None = None
    """`none` is a forward and a backward pass alone."""
    loss: Literal["cross_entropy", "sum"] | None = None
    autocast: bool | None = None
    through_float32: bool | None = None
    """Loaded in float32 and converted on the GPU."""


Subject = Model | OfWorkload
"""A preset under the claim's settings, or under some of its own."""


class OfMemory(OfWorkload):
    """One workload, alone or against another."""

    against: Subject | None = None
    sequence: tuple[Subject, ...] = ()
    """What the documented procedure measures in one process, in order; by default those named."""
    reset: Literal["before_loading", "after_loading"] = "before_loading"
    """When the documented procedure resets the peak."""
    budget: Size | None = None
    """A hard cap, in bytes."""

    @model_validator(mode="after")
    def _in_sequence(self) -> OfMemory:
        named = [one if isinstance(one, str) else one.model for one in self.sequence]
        for subject in (self.model, self.against):
            name = subject.model if isinstance(subject, OfWorkload) else subject
            if named and name and name not in named:
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


class OfSpeed(OfWorkload):
    """A whole pass or step against another's, timed."""

    against: Subject


class OfGrowth(OfWorkload):
    """A whole pass or step at enough lengths for a slope."""

    lengths: Sizes


class OfParameterGrowth(Data):
    """One part of a preset at enough widths for a slope."""

    model: Model
    part: Part = "all"
    widths: Sizes


class OfCapacity(OfWorkload):
    """The largest model that fits, alone or against another preset's."""

    budget: Size
    """In bytes."""
    vary: Literal["width", "layers"] = "width"
    against: Model | None = None


class OfFormula(Data):
    """One part of the counted configuration."""

    model: Model
    part: Literal["embedding", "attention", "ffn", "norms", "head", "total"] = "total"
    compressed: bool = False


class OfCurvature(Data):
    """Phase 8's attention at one curvature, in float64 on the CPU, on layer-normalised random inputs."""

    curvature: Annotated[Number, Field(gt=0)]
    causal: bool = False


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
}


def measure(claim: Claim, bench: Bench) -> Measurement:
    """Let the claim's probe measure it. Raises Unmeasured when it cannot."""
    assert claim.probe is not None
    measurement: Measurement = import_module(PROBES[claim.probe].module).measure(claim, bench)
    return measurement
