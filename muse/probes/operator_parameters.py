"""Count what a structured operator keeps in place of a dense matrix: exact, no GPU."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module
from math import ceil, log2

import torch

from kernels.case import Case
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.probes.bench import Bench
from muse.probes.operators import sized
from muse.probes.slope import slope

KEPT = {"semiseparable": ("a", "b", "c", "u", "v"), "tensor_train": ("core1", "core2", "phase")}


def measure(claim: Claim, bench: Bench) -> Measurement:
    """What is saved of the dense matrix (at the largest of the lengths); or how the count over log2 N grows with N."""
    given = claim.given
    if given["operator"] == "tensor_train":
        vocabulary, width = given["table"]
        case = import_module("kernels.tensor_train.cases").case(1, vocabulary, width, given["rank"])
        kept, dense = _count("tensor_train", case), vocabulary * width
    else:
        lengths = given["lengths"]
        counts = [_count("semiseparable", sized("semiseparable", n, rows=1)) for n in lengths]
        if claim.quantity == "slope":
            return slope(
                lengths, [Fraction(c, ceil(log2(n))) for c, n in zip(counts, lengths, strict=True)], Scope.EXACT
            )
        kept, dense = counts[-1], lengths[-1] ** 2
    return certain(1 - Fraction(kept, dense), Scope.EXACT, kept=kept, dense=dense)


def _count(name: str, case: Case) -> int:
    """Numbers kept."""
    given = case.make_inputs("cpu", torch.float32, 0)
    return sum(given[key].numel() for key in KEPT[name])
