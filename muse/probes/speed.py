"""What one pass or step of a whole model costs in time against another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from muse.claims.claim import Claim
from muse.claims.measurement import Measurement
from muse.memory.workload import DTYPES, Workload
from muse.probes.bench import Bench
from muse.probes.timing import ratio, times
from muse.probes.workloads import subject, workload


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The time of the claim's workload over the other's; as a change, less one."""
    subjects = {"mine": subject(claim.given), "other": subject(claim.given, claim.given["against"])}
    calls = {name: partial(call, workload(settings)) for name, settings in subjects.items()}
    found = times(calls, bench, "called")
    cost = ratio(found["mine"], found["other"])
    if claim.quantity == "cost":
        return cost
    return replace(cost, value=cost.value - 1, low=cost.low - 1, high=cost.high - 1)


def call(what: Workload, device: torch.device) -> Callable[[], object]:
    """One pass or step on `device`, with gradients only where it trains and autocast only where it casts."""
    model, ids = what.place(device), what.ids(device)
    updates = what.updates(model)

    def once() -> None:
        casts = torch.autocast("cuda", dtype=DTYPES[what.dtype], enabled=what.casts)
        with casts, torch.set_grad_enabled(what.train):
            what.step(model, ids, updates)

    return once
