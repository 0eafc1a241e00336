"""Time GPU calls against each other: interleaved rounds, events on the device, the GPU to itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import TypeVar

import torch

from muse import machine
from muse.claims.claim import Scope
from muse.claims.measurement import Measurement
from muse.memory.isolate import cuda_failures
from muse.memory.peak import gpu
from muse.probes.bench import Bench

K = TypeVar("K", bound=Hashable)

ROUNDS = 12
"""Rounds, each timing every call once in a fresh random order."""
SHORTEST = 5e-3
"""Seconds that one sample lasts at least, so that launches and clocks average out."""


@contextmanager
def gpu_to_itself() -> Iterator[torch.device]:
    """The GPU under an exclusive lease, without gradients and under the documents' autocast.

    Raises Unmeasured when CUDA fails, such as for want of memory.
    """
    half = torch.autocast("cuda", dtype=torch.float16)
    with cuda_failures(), machine.lease(exclusive=True), torch.no_grad(), half:
        try:
            yield gpu()
        finally:
            torch.cuda.empty_cache()


def graphed(call: Callable[[], object]) -> Callable[[], None]:
    """`call` recorded once and replayed, so that its time is the GPU's and not that of launching it.

    A call that makes the GPU wait for the CPU cannot be recorded; CUDA says so.
    """
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    replay: Callable[[], None] = graph.replay
    return replay


def times(calls: Mapping[K, Callable[[], object]], bench: Bench) -> dict[K, list[float]]:
    """Seconds per call, one sample per call and round."""
    samples: dict[K, list[float]] = {key: [] for key in calls}
    order, shuffle = list(calls), random.Random(0)

    def one_round() -> None:
        shuffle.shuffle(order)
        for key in order:
            samples[key].append(_timed(calls[key], repeats[key]))

    repeats = {key: _repeats(call) for key, call in calls.items()}
    bench.rounds(one_round, ROUNDS)
    return samples


def _repeats(call: Callable[[], object]) -> int:
    """How often to call for one sample; warms up on the way."""
    for _ in range(3):
        call()
    return max(1, round(SHORTEST / max(_timed(call, 3), 1e-7)))


def _timed(call: Callable[[], object], repeats: int) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
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
