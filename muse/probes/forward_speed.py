"""What a whole forward pass of one model costs in time against another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from muse.claims.claim import Claim
from muse.claims.measurement import Measurement
from muse.memory.workload import Workload
from muse.probes.bench import Bench
from muse.probes.timing import ratio, times
from muse.probes.workloads import workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The time of the model's pass over the other's, less one."""
    calls = {name: partial(_forward, workload(claim.given, claim.given[name])) for name in ("model", "against")}
    found = times(calls, bench, replayed=False)
    cost = ratio(found["model"], found["against"])
    return replace(cost, value=cost.value - 1, low=cost.low - 1, high=cost.high - 1)


def _forward(what: Workload, device: torch.device) -> Callable[[], object]:
    return partial(what.forward, what.place(device), what.ids(device))
