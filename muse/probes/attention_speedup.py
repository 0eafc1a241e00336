"""How many times faster one model's attention layer is than another's at one length."""

from __future__ import annotations

from muse.claims.claim import Claim
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.timing import gpu_to_itself, ratio, times
from muse.probes.workloads import attention_call


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The other's time over the model's."""
    given = claim.given
    with gpu_to_itself() as device:
        calls = {name: attention_call(given, given[name], given["tokens"][0], device) for name in ("model", "against")}
        found = times(calls, bench)
    return ratio(found["against"], found["model"])
