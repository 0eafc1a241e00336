"""What a claim may give its probe: models, workloads, sizes, operators. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from muse.claims.claim import Data, Number
from muse.models import PRESETS


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
    ids_below: Size | None = None
    """Token ids are drawn below this number."""
    through_float32: bool | None = None
    """Loaded in float32 and converted on the GPU."""


Subject = Model | OfWorkload
"""A preset under the claim's settings, or under some of its own."""


class OfMemory(OfWorkload):
    """One workload, alone or against another."""

    against: Subject | None = None
    sequence: tuple[Subject, ...] = ()
    """What the documented procedure measures in one process, in order; by default those named."""
    card: str | None = None
    """A prediction's: one of `muse/memory/cards.yaml`."""
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


class OfPrediction(OfMemory):
    """A workload whose peak is predicted for this machine's card and measured on it, or several."""

    among: tuple[Subject, ...] = ()
    """For a share: these, each under the claim's other settings."""


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


Operator = Literal[
    "bk_core",
    "hyperbolic_attention",
    "hyperbolic_scan",
    "linear_attention",
    "linear_cross_entropy",
    "linear_scan",
    "low_rank_ffn",
    "semiseparable",
    "tensor_train",
    "tensor_train_logits",
]
HOMES = {"tensor_train_logits": "tensor_train"}
"""Operators that live in another's folder of `kernels`; the others have one of their own name."""
Rival = Literal[
    "reference",
    "compiled",
    "accelerated_scan",
    "cumsum",
    "cusparse",
    "cut_cross_entropy",
    "dense",
    "embedding",
    "fla",
    "flex",
    "liger",
    "sdpa",
]


class OfOperator(Data):
    """One operator of `kernels` at one of its cases, alone or against what others compute the same with."""

    operator: Operator
    case: str
    dtype: Literal["float32", "float16", "bfloat16", "complex64"] = "bfloat16"
    passes: Literal["forward", "both"] = "forward"
    against: Rival | None = None
    """Its own definition in plain PyTorch, the same compiled, or a peer."""


class OfOperatorGrowth(Data):
    """An operator at enough lengths of its sequence for a slope; of `linear_scan`, the cumulative sum of AR-SSM."""

    operator: Literal["bk_core", "hyperbolic_attention", "linear_attention", "linear_scan"]
    lengths: Sizes


class OfDecoding(Data):
    """Sequences that linear attention goes on with by a token."""

    sequences: Size
    heads: Size
    width: Size


class OfOperatorParameters(Data):
    """What a structured operator keeps in place of a dense matrix."""

    operator: Literal["semiseparable", "tensor_train"]
    lengths: Sizes | None = None
    """Rows of semiseparable matrices."""
    table: tuple[Size, Size] | None = None
    """Vocabulary and width of an embedding."""
    rank: Size | None = None

    @model_validator(mode="after")
    def _of_its_operator(self) -> OfOperatorParameters:
        wanted = ("lengths",) if self.operator == "semiseparable" else ("table", "rank")
        stated = tuple(name for name in ("lengths", "table", "rank") if getattr(self, name) is not None)
        if stated != wanted:
            raise ValueError(f"{self.operator} takes {' and '.join(wanted)}, found {', '.join(stated) or 'neither'}")
        return self


class OfResolvent(Data):
    """The free resolvent's kernel between square roots of random potentials, in float64 on the CPU."""

    kernel: Literal["distance", "signed"] = "distance"
    """(i/2) exp(iz|u - v|), or (i/2) exp(iz(u - v)) sgn(u - v), as the documents' source code has it."""
