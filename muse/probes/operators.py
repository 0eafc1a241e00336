"""From a claim's words to an operator of `kernels`: what computes it, what defines it, and at which sizes.

Operators are imported by name, so that a change of one leaves the evidence of the others fresh.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from kernels.case import Case, excesses
from muse.errors import Disagreement, UsageError
from muse.probes.given import HOMES

DTYPES = {name: getattr(torch, name) for name in ("float32", "float16", "bfloat16", "complex64")}

Inputs = Mapping[str, Any]
"""An operator's arguments by name."""

ONE_NUMBER = 8
"""How much more a gradient of a single number may err: the definition's own error there can be small by chance."""

_ROWS, _BESIDE = (slice(4), slice(16384)), (slice(4), slice(16383))
PARTS: dict[str, dict[str, tuple[slice, ...]]] = {
    "bk_core": {"a": _ROWS, "b": _BESIDE, "c": _BESIDE, "z": (slice(4),)},
    "hyperbolic_attention": dict.fromkeys("qkv", (slice(1), slice(2), slice(700))),
    "hyperbolic_scan": dict.fromkeys("ab", (slice(4), slice(1024))),
    "linear_attention": dict.fromkeys("qkv", (slice(1), slice(4))),
    "linear_scan": dict.fromkeys("ab", (slice(1), slice(16))),
    "low_rank_ffn": {"x": (slice(16384),)},
    "tensor_train_logits": {"hidden": (slice(1024),)},
}
"""The part of some operators' inputs on which agreement is checked: the whole is too much for the definition."""

BRIEF = PARTS | {
    "bk_core": {
        "a": (slice(4), slice(2048)),
        "b": (slice(4), slice(2047)),
        "c": (slice(4), slice(2047)),
        "z": _ROWS[:1],
    },
    "hyperbolic_scan": dict.fromkeys("ab", (slice(4), slice(512))),
}
"""Those on which a call is checked before it is timed: definitions that go step by step take seconds for more."""

GIB = 2**30
NEEDS = {
    "linear_cross_entropy": 15 * GIB,
    "low_rank_ffn": 12 * GIB,
    "hyperbolic_attention": 8 * GIB,
    "hyperbolic_scan": 7 * GIB,
    "linear_scan": 7 * GIB,
    "semiseparable": 7 * GIB,
}
"""Bytes of the GPU: the most that a case takes, with its definition in double precision, and a little more."""
FEW = 4 * GIB
"""What the others need at the most."""


@dataclass(frozen=True)
class Operator:
    """One operator."""

    name: str
    call: Callable[..., Any]
    """The public function, which chooses its implementation."""
    definition: Callable[..., Tensor]
    """The same result by the definition, of the same arguments."""
    cases: Mapping[str, Case]

    def case(self, name: str) -> Case:
        """A size by its name. Raises UsageError for an unknown one."""
        if name not in self.cases:
            raise UsageError(f"{self.name} has no case {name!r}, expected one of {', '.join(self.cases)}")
        return self.cases[name]

    def part(self, inputs: Inputs, *, brief: bool = False) -> dict[str, Any]:
        """The inputs cut to what the definition can do in double precision, or to what it does in a moment."""
        cuts = (BRIEF if brief else PARTS).get(self.name, {})
        return {name: x[cuts[name]] if name in cuts and x is not None else x for name, x in inputs.items()}

    @property
    def needs(self) -> int:
        """Bytes of the GPU to be admitted for."""
        return NEEDS.get(self.name, FEW)

    def excess(self, inputs: Inputs, *, backward: bool = True, brief: bool = False) -> float:
        """The largest error of the output and of any gradient, as a multiple of the definition's own.

        Raises Disagreement where one is not finite.
        """
        part = self.part(inputs, brief=brief)
        found = excesses(self.call, self.definition, part, backward=backward)
        single = {f"d{name}" for name, x in part.items() if isinstance(x, Tensor) and x.numel() == 1}
        fair = {name: ratio / ONE_NUMBER if name in single else ratio for name, ratio in found.items()}
        if not all(math.isfinite(ratio) for ratio in fair.values()):
            raise Disagreement(f"{self.name} gives values that are not finite: {found}")
        return max(fair.values())

    def require_agreement(self, case: Case, inputs: Inputs, *, backward: bool = True) -> float:
        """The excess on a brief part. Raises Disagreement where it is above what the case allows."""
        found = self.excess(inputs, backward=backward, brief=True)
        if found > case.k:
            raise Disagreement(f"{self.name} errs {found:.3g} times as much as its definition, {case.k:g} are allowed")
        return found

    def inputs(self, case: str, dtype: str, device: torch.device | str, seed: int = 0) -> dict[str, Any]:
        """Fresh random inputs of a case."""
        return self.case(case).make_inputs(device, DTYPES[dtype], seed)


def operator(name: str) -> Operator:
    """An operator by its name in `kernels`."""
    home = f"kernels.{HOMES.get(name, name)}"
    defined = getattr(import_module(f"{home}.reference"), name)
    adapt = ADAPTED.get(name)
    definition = adapt(defined) if adapt else defined
    every = (*benchmarked(name), *getattr(import_module(f"{home}.cases"), "MORE", ()))
    return Operator(name, getattr(import_module(home), name), definition, {case.name: case for case in every})


def benchmarked(name: str) -> tuple[Case, ...]:
    """The sizes at which an operator is timed beside everybody else; claims have more."""
    cases: tuple[Case, ...]
    if name in HOMES:
        cases = import_module(f"kernels.{HOMES[name]}.cases").LOGITS
    else:
        cases = import_module(f"kernels.{name}.cases").CASES
    return cases


def sized(name: str, tokens: int, rows: int) -> Case:
    """A case of an operator on sequences at `tokens`, with `rows` sequences of one kind or another."""
    case = import_module(f"kernels.{name}.cases").case
    match name:
        case "bk_core":
            return case(rows, tokens)
        case "linear_scan":
            return case(1, rows, tokens, decay=False)
        case "linear_attention":
            return case(1, tokens, rows, 64)
        case "semiseparable":
            return case(rows, tokens, 1)
        case _:
            return case(1, rows, tokens, 64)


def _attention(defined: Callable[..., tuple[Tensor, Any]]) -> Callable[..., Tensor]:
    def attention(feature: str | None = None, **inputs: Any) -> Tensor:
        return defined(**inputs, elu=feature == "elu")[0]

    return attention


def _moebius(defined: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def scan(a: Tensor, b: Tensor, curvature: Tensor) -> Tensor:
        return defined(a, b, curvature, b.new_zeros(*b.shape[:-2], b.shape[-1]))

    return scan


ADAPTED: dict[str, Callable[..., Callable[..., Tensor]]] = {"linear_attention": _attention, "hyperbolic_scan": _moebius}
"""Definitions whose arguments are not those of their operator's public function."""
