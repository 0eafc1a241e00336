"""The largest model of a preset's kind that fits a budget, its width or its depth varied.

Predicted, a size fits when a simulated allocator under a cap serves it. Measured, when the workload runs under a cap
that is proven to bite, and the next size does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import torch

from muse import machine, models
from muse.claims.claim import Claim, Expect, Scope, Status, Tolerance
from muse.claims.measurement import Measurement, certain
from muse.errors import Unmeasured
from muse.memory import fit, peak
from muse.memory.card import DEFAULT, card
from muse.memory.isolate import isolate
from muse.memory.predict import predict, workspace_bytes
from muse.probes import FIT
from muse.probes.bench import Bench
from muse.probes.workloads import question, shape, subject, workload

SIZES = {"width": "d_model", "layers": "layers"}
"""What may be varied, and what the preset calls it."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The size or the parameters of the largest model, or how many times those of another preset's."""
    measured = claim.probe == "capacity"
    scope = Scope.EMULATED if measured else Scope.PREDICTED
    found = largest(claim.given, bench, measured=measured)
    if claim.quantity != "parameters_ratio":
        return certain(found[str(claim.quantity)], scope, found=found)
    other = largest({**claim.given, "model": claim.given["against"]}, bench, measured=measured)
    return certain(Fraction(found["parameters"], other["parameters"]), scope, found=found, against=other)


def as_claim(mode: str, given: dict[str, Any], predicted: Mapping[str, Any]) -> Claim:
    """The claim that the prediction is right: the model of its size fits, and no larger one does."""
    size = f"{given['budget']}B-{given['tokens']}tokens-{given['vary']}"
    case = "-".join([given["model"], size, *([given["optimizer"]] if given.get("train") else [])])
    return Claim(
        id=f"{FIT}/{mode}[{case}]",
        document=FIT,
        section="Largest models under a budget",
        says="This is the largest model of its kind that fits the budget, its width or its depth varied.",
        documented=Decimal(predicted["parameters"]),
        unit="count",
        probe="capacity",
        quantity="parameters",
        given=given,
        protocol="sound",
        expect=Expect.model_validate({"equals": predicted["parameters"]}),
        tolerance=Tolerance.model_validate({"relative": "0.02", "because": "The allocator's waste is not predicted."}),
        needs=("gpu",),
        recorded=Status.CONFIRMED,
    )


def largest(given: Mapping[str, Any], bench: Bench, *, measured: bool) -> dict[str, Any]:
    """What was varied, the largest size that fits, and its parameters."""
    settings, vary, budget = subject(given), given.get("vary", "width"), given["budget"]
    search = _measured if measured else _predicted

    def answer() -> dict[str, Any]:
        size = search(settings, vary, budget, bench)
        return {"varied": vary, "size": size, "parameters": _count(settings["model"], vary, size)}

    asked = question(workload(settings), settings["model"])
    return bench.reading({search.__name__: asked, "vary": vary, "budget": budget}, answer)


def _predicted(settings: dict[str, Any], vary: str, budget: int, bench: Bench) -> int:
    workspace, chosen = workspace_bytes(bench.settings.cublas_workspace), card(DEFAULT)

    def needs(size: int) -> tuple[bool, int]:
        bench.say(f"predicting {settings['model']} at {vary} {size}")
        found = predict(workload(settings, **{SIZES[vary]: size}), workspace, chosen, budget)
        return found.fits, found.total_bytes

    start = getattr(shape(settings["model"]), SIZES[vary])
    return fit.largest(needs, budget, start, _step(settings["model"], vary))


def _measured(settings: dict[str, Any], vary: str, budget: int, bench: Bench) -> int:
    """Just below and just above the edge, each in a process of its own."""
    expected = largest({**settings, "vary": vary, "budget": budget}, bench, measured=False)["size"]
    environment, timeout = bench.settings.environment, bench.settings.timeout

    @cache
    def fits(size: int) -> bool:
        bench.say(f"measuring {settings['model']} at {vary} {size}")
        what = workload(settings, **{SIZES[vary]: size})
        try:
            with machine.admission(budget):
                isolate(peak.sound, what, budget, environment=environment, timeout=timeout)
        except Unmeasured as error:
            if error.reason != "out_of_memory":
                raise
            return False
        return True

    with machine.lease(exclusive=False):
        return fit.confirmed(fits, expected, _step(settings["model"], vary))


def _step(model: str, vary: str) -> int:
    """The smallest difference between two sizes: one layer, or the narrowest width that all parts can divide."""
    return 1 if vary == "layers" else models.width_step(model)


def _count(model: str, vary: str, size: int) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in models.build(model, **{SIZES[vary]: size}).parameters())
