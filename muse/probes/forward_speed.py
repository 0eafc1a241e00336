"""What a whole forward pass of one model costs in time against another's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from muse.claims.claim import Claim
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.timing import gpu_to_itself, ratio, times
from muse.probes.workloads import workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The time of the model's pass over the other's, less one."""
    with gpu_to_itself() as device:
        calls = {}
        for name in ("model", "against"):
            what = workload(claim.given, claim.given[name])
            calls[name] = partial(what.forward, what.place(device), what.ids(device))
        found = times(calls, bench)
    cost = ratio(found["model"], found["against"])
    return replace(cost, value=cost.value - 1, low=cost.low - 1, high=cost.high - 1)
