"""Every operator at up to four sizes, forward and backward, beside its definition, the same compiled, and its peers.

What a compiler or a loop over time makes of the definition is timed at the first size alone, a loop only forward, and
there everybody must agree with the definition in double precision; claims see to the rest.
Inputs rotate past the cache.
"""

import gc
import os
from functools import cache
from itertools import product
from typing import get_args

import pytest
import torch

from muse import machine
from muse.errors import Unmeasured
from muse.memory.isolate import cuda_failures
from muse.probes import tuned
from muse.probes.given import Operator
from muse.probes.operator_calls import COPIED, LOOPS, SIDE, Subject, ceilings, extra_bytes, repeats, seconds
from muse.probes.operators import DTYPES, benchmarked
from muse.probes.peers import PEERS

pytestmark = [pytest.mark.speed, pytest.mark.filterwarnings("default")]  # compilers and peers warn of their own affairs

FLOAT32 = ("bk_core", "hyperbolic_scan", "linear_scan")
"""Operators that are wanted in single precision; the others run in bfloat16."""
ROUNDS = 12


def subjects():
    """Every operator, case and pass, by itself and by everybody else."""
    for name in get_args(Operator):
        dtype = "float32" if name in FLOAT32 else "bfloat16"
        slow, looped = ("compiled", "reference") if name in LOOPS else ("compiled",), name in LOOPS
        for number, case in enumerate(case.name for case in benchmarked(name)):
            for both, who in product((False, True), (None, "reference", "compiled", *PEERS.get(name, {}))):
                if (number == 0 or who not in slow) and not (looped and both and who == "reference"):
                    label = f"{name}-{case}-{'both' if both else 'forward'}-{who or 'muse'}"
                    yield pytest.param(Subject(name, case, dtype, both, who), id=label)


@pytest.fixture(autouse=True)
def alone():
    """The GPU to this process, and its memory to each test."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("timed_under_xdist: a timing needs its GPU to itself; run it without -n")
    with machine.lease(exclusive=True):
        yield
    gc.collect()
    torch.cuda.empty_cache()


@pytest.fixture(scope="session", autouse=True)
def recalled(settings):
    """What a card like this one was tuned for, or some peers would tune for minutes."""
    tuned.recall(settings)


@pytest.fixture(scope="session")
def ceiling():
    """Bytes and operations per second that this GPU reaches in this run, by dtype."""

    @cache
    def rates(dtype):
        taken = {name: seconds(call, repeats(call)) for name, call in ceilings(DTYPES[dtype], "cuda").items()}
        return 2 * COPIED / taken["copy"], 2 * SIDE**3 / taken["product"]

    return rates


@pytest.mark.parametrize("subject", list(subjects()))
def test_speed(benchmark, ceiling, subject):
    """The wall-clock time of a synchronised call; beside it the GPU's own, its share of the ceilings, and memory."""
    device = torch.device("cuda")
    looped = subject.who == "reference" and subject.operator in LOOPS
    bandwidth, rate = ceiling(subject.dtype)
    try:
        with cuda_failures():
            if subject.case == benchmarked(subject.operator)[0].name:
                subject.require_agreement(device)
            call = subject.prepare(device)
            extra = None if looped else extra_bytes(call)
    except Unmeasured as error:
        pytest.skip(str(error))

    def synchronised():
        call()
        torch.cuda.synchronize()

    benchmark.group = f"{subject.operator} {subject.case} {'forward and backward' if subject.both else 'forward'}"
    benchmark.pedantic(synchronised, rounds=1 if looped else ROUNDS, iterations=1)
    # A loop over time is launched step by step: its time is the launches'.
    spent = benchmark.stats.stats.median if looped else seconds(call, repeats(call))
    work = subject.work
    benchmark.extra_info.update(
        who=subject.who or "muse",
        **subject.how(device),
        gpu_seconds=spent,
        floor_ratio=spent / max(work.bytes / bandwidth, work.flops / rate),
        bandwidth_share=work.bytes / spent / bandwidth,
        rate_share=work.flops / spent / rate,
        extra_bytes=extra,
        gpu=torch.cuda.get_device_name(),
    )
