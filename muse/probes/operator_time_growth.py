"""How the time of an operator's forward pass grows with the tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.operators import operator, sized
from muse.probes.slope import slope
from muse.probes.timing import times

BASELINE = 16
"""Tokens at which a call costs what it costs at any length, and little else."""
ROWS = {"bk_core": 2048, "hyperbolic_attention": 32, "linear_attention": 128, "linear_scan": 12288}
"""Sequences at once: enough to fill the GPU at every length."""
LONG, LONG_ROWS = 16384, {"bk_core": 512, "linear_attention": 16, "linear_scan": 512}
"""From more tokens than this on, fewer sequences do, too many for the cache all the same, and more would not fit."""
DTYPE = {"bk_core": torch.float32, "linear_scan": torch.float32}


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the time over the time at a handful of tokens."""
    name, lengths = claim.given["operator"], claim.given["lengths"]
    rows = (LONG_ROWS if max(lengths) > LONG else ROWS)[name]
    calls = {str(n): partial(call, name, n, rows) for n in (BASELINE, *lengths)}
    middle = {int(n): median(samples) for n, samples in times(calls, bench, "replayed").items()}
    return slope(lengths, [middle[n] for n in lengths], Scope.MEASURED, baseline=middle[BASELINE])


def call(name: str, tokens: int, rows: int, device: torch.device) -> Callable[[], object]:
    """One forward pass of an operator at `tokens`, in the precision of its own case."""
    made = sized(name, tokens, rows).make_inputs(device, DTYPE.get(name, torch.bfloat16), 0)
    function = operator(name).call

    def once() -> object:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return function(**made)

    return once
