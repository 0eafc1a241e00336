"""How fast an operator is: against its floor, and against what others compute the same with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

from muse import machine
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory.isolate import worker
from muse.memory.peak import gpu
from muse.probes import tuned
from muse.probes.bench import Bench
from muse.probes.operator_calls import Call, Subject, ceilings, floor, repeats, seconds
from muse.probes.operators import DTYPES, operator
from muse.probes.timing import ROUNDS, ratio

T = TypeVar("T")

TIMING = "operators"
"""What the process is kept for that times them all, one after another: each would take seconds to start."""

LONG, FEW = 1.0, 5
"""Seconds from which on a round is long, and how many rounds there are of long ones."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The seconds of a pass, their ratio to the floor's or to a rival's (cost), or a rival's to them (speedup).

    The record tells the seconds of all of them.
    The floor is the longer of the work's bytes at the bandwidth of a copy and its operations at the rate of a matrix
    product, both timed in the same rounds. Nothing is timed before the operator agrees with its definition.
    Raises Disagreement where it does not, Unmeasured where a rival is missing or wrong or where CUDA fails.
    """
    mine = subject(claim)
    rival = claim.given["against"] if claim.quantity in ("cost", "speedup") else None
    found, how = _times(mine, rival, bench)
    found["floor"] = [floor(mine.work, *pair) for pair in zip(found["copy"], found["product"], strict=True)]
    match claim.quantity:
        case "speedup":
            taken = ratio(found["rival"], found["mine"])
        case "cost":
            taken = ratio(found["mine"], found["rival"])
        case "floor_ratio":
            taken = ratio(found["mine"], found["floor"])
        case _:
            own = found["mine"]
            taken = replace(ratio(own, [1.0] * len(own)), scope=Scope.MEASURED)
    told = {name: median(samples) for name, samples in found.items()}
    return replace(taken, how={**taken.how, **how, "seconds": told})


def shared(function: Callable[[Subject], T], what: Subject, bench: Bench) -> T:
    """`function(what)` in the process that all claims of the operator share."""
    settings = bench.settings
    environment, timeout = settings.environment, settings.timeout
    with (
        machine.lease(exclusive=False),
        machine.admission(operator(what.operator).needs),
        worker(partial, function, what, environment=environment, timeout=timeout, kept_for=what.operator) as call,
    ):
        return call()


def subject(claim: Claim) -> Subject:
    """What the claim is about."""
    given = claim.given
    return Subject(given["operator"], given["case"], given.get("dtype", "bfloat16"), both=given.get("passes") == "both")


def _times(mine: Subject, rival: str | None, bench: Bench) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds by name, one sample per round, and how they were taken; claims of the same pair share them."""
    environment, timeout = bench.settings.environment, bench.settings.timeout

    def answer() -> tuple[dict[str, list[float]], dict[str, Any]]:
        samples: dict[str, list[float]] = {}
        how: dict[str, Any] = {}
        since = tuned.recall(bench.settings)
        with (
            machine.lease(exclusive=True),
            worker(_rounds, mine, rival, environment=environment, timeout=timeout, kept_for=TIMING) as one_round,
        ):

            def noted() -> None:
                found, told = one_round()
                how.update(told)
                for name, sample in found.items():
                    samples.setdefault(name, []).append(sample)

            begin = perf_counter()
            noted()
            rounds = FEW if perf_counter() - begin > LONG else ROUNDS
            bench.rounds(noted, rounds - 1)
        tuned.keep(bench.readings.parent, since)
        return samples, how

    samples, how = bench.reading({"times": asdict(mine), "rival": rival}, answer)
    return samples, how


def _rounds(mine: Subject, rival: str | None) -> Callable[[], tuple[dict[str, float], dict[str, Any]]]:
    """In the timing process: require agreement, make the calls, warm up, and give a function that times each once."""
    device, shuffle = gpu(), random.Random(0)
    subjects = {"mine": mine} | ({"rival": mine.against(rival)} if rival else {})
    for one in subjects.values():
        one.require_agreement(device)
    calls: dict[str, Call] = {name: one.prepare(device) for name, one in subjects.items()}
    calls |= ceilings(DTYPES[mine.dtype], device)
    counts = {name: repeats(call) for name, call in calls.items()}
    how = {"rival" if name == "rival" else "operator": one.how(device) for name, one in subjects.items()}

    def one_round() -> tuple[dict[str, float], dict[str, Any]]:
        order = shuffle.sample(list(calls), k=len(calls))
        return {name: seconds(calls[name], counts[name]) for name in order}, how

    return one_round
