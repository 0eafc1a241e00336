"""How many times faster one model's attention layer is than another's at one length."""

from __future__ import annotations

from functools import partial

from muse.claims.claim import Claim
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.timing import ratio, times
from muse.probes.workloads import attention_call


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The other's time over the model's, as PyTorch launches them."""
    given = claim.given
    calls = {name: partial(attention_call, given, given[name], given["tokens"][0]) for name in ("model", "against")}
    found = times(calls, bench, "called")
    return ratio(found["against"], found["model"])
