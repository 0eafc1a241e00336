"""Time GPU calls against each other: interleaved rounds, events on the device, the GPU to itself.

The calls live in a process of their own; a round is asked of it, so that a failure there fails one claim.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, Literal

import torch

from muse import machine
from muse.claims.claim import Scope
from muse.claims.measurement import Measurement
from muse.memory.isolate import worker
from muse.memory.peak import gpu
from muse.probes.bench import Bench

ROUNDS = 12
"""Rounds, each timing every call once in a fresh random order."""
SHORTEST = 5e-3
"""Seconds that one sample lasts at least, so that launches and clocks average out."""
CYCLES = 2e9
"""Of a GPU in a second, at the most."""

Way = Literal["called", "replayed", "ahead"]
"""Called as users call, launches included; recorded once and replayed; or launched ahead while the GPU sleeps. The
time of the last two is the GPU's own."""

Call = Callable[[], object]
Prepared = Callable[[torch.device], Call]
"""Makes a call on a device; it must pickle, to be made in the timing process."""


def times(calls: Mapping[str, Prepared], bench: Bench, way: Way) -> dict[str, list[float]]:
    """Seconds per call, one sample per call and round, under the documents' autocast and without gradients.

    Raises Unmeasured when CUDA fails.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    environment, timeout = bench.settings.environment, bench.settings.timeout
    with (
        machine.lease(exclusive=True),
        worker(_rounds, calls, way, environment=environment, timeout=timeout, kept_for="times") as one_round,
    ):

        def noted() -> None:
            for name, seconds in one_round().items():
                samples[name].append(seconds)

        bench.rounds(noted, ROUNDS)
    return samples


def _rounds(prepared: Mapping[str, Prepared], way: Way) -> Callable[[], dict[str, float]]:
    """In the timing process: make the calls, warm up, and give a function that times each once."""
    device, shuffle = gpu(), random.Random(0)

    def as_measured(function: Callable[[], Any]) -> Any:
        with torch.no_grad(), torch.autocast("cuda", dtype=torch.float16):
            return function()

    def make() -> dict[str, tuple[Call, int, int]]:
        calls = {name: prepare(device) for name, prepare in prepared.items()}
        if way == "ahead":
            return {name: (call, 1, _launching(call)) for name, call in calls.items()}
        if way == "replayed":
            calls = {name: _recorded(call) for name, call in calls.items()}
        return {name: (call, _repeats(call), 0) for name, call in calls.items()}

    calls = as_measured(make)

    def one_round() -> dict[str, float]:
        order = shuffle.sample(list(calls), k=len(calls))
        return {name: _timed(*calls[name]) for name in order}

    return partial(as_measured, one_round)


def _recorded(call: Call) -> Call:
    """`call` as a CUDA graph. A call that makes the GPU wait for the CPU cannot be recorded; CUDA says so."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()

    def replay(inputs: Call = call) -> None:
        graph.replay()  # reads the memory of the call's inputs, which `inputs` keeps alive

    return replay


def _repeats(call: Call) -> int:
    """How often to call for one sample; warms up on the way."""
    for _ in range(3):
        call()
    return max(1, round(SHORTEST / max(_timed(call, 3), 1e-7)))


def _launching(call: Call) -> int:
    """Cycles in which `call` is launched, with room to spare; warms up on the way."""
    call()
    torch.cuda.synchronize()
    begin = perf_counter()
    call()
    taken = perf_counter() - begin
    torch.cuda.synchronize()
    return int(2 * taken * CYCLES)


def _timed(call: Call, repeats: int, asleep: int = 0) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    if asleep:
        torch.cuda._sleep(asleep)  # noqa: SLF001  # no public call keeps a GPU waiting
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3 / repeats


def ratio(above: Sequence[float], below: Sequence[float]) -> Measurement:
    """The median ratio of paired rounds with its 95 % bootstrap interval."""
    pairs = [a / b for a, b in zip(above, below, strict=True)]
    draw = random.Random(0)
    medians = sorted(median(draw.choices(pairs, k=len(pairs))) for _ in range(2000))
    how = {"seconds": [median(above), median(below)], "rounds": len(pairs), "interval": "bootstrap of the median, 95 %"}
    return Measurement(median(pairs), medians[50], medians[-51], Scope.MEASURED, samples=pairs, how=how)
