"""How long linear attention takes for the token after a state, against copying that state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from kernels.linear_attention import linear_attention_step
from muse.claims.claim import Claim
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.timing import ratio, times


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The ratio of the two times: a step reads the state and writes the next one."""
    size = claim.given["sequences"], claim.given["heads"], claim.given["width"]
    found = times({"step": partial(step, *size), "copy": partial(copy, *size)}, bench, "replayed")
    return ratio(found["step"], found["copy"])


def step(sequences: int, heads: int, width: int, device: torch.device) -> Callable[[], object]:
    """One token of each head, in bfloat16, after a state in float32."""
    random = torch.Generator(device).manual_seed(0)
    shape = sequences, heads, 1, width
    q, k, v = (torch.randn(shape, generator=random, device=device).to(torch.bfloat16) for _ in range(3))
    sums, weight = (
        1 + torch.rand(sequences, heads, *more, generator=random, device=device) for more in ((width, width), (width,))
    )

    def once() -> object:
        with torch.autocast(device.type, enabled=False):
            return linear_attention_step(q, k, v, (sums, weight), feature="elu")

    return once


def copy(sequences: int, heads: int, width: int, device: torch.device) -> Callable[[], object]:
    """The state, read and written once."""
    state = torch.rand(sequences, heads, width, width + 1, device=device)
    return partial(torch.empty_like(state).copy_, state)
