"""What a pass of an operator holds beyond its inputs, its output and its gradients."""

from __future__ import annotations

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.memory.peak import gpu
from muse.probes.bench import Bench
from muse.probes.operator import shared, subject
from muse.probes.operator_calls import Subject, extra_bytes


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The extra bytes at the peak, after a warm-up that leaves the matrix library its workspace."""
    found, how = shared(extra, subject(claim), bench)
    return certain(found, Scope.MEASURED, **how)


def extra(what: Subject) -> tuple[int, dict[str, object]]:
    """In the measuring process. Raises Disagreement where the operator is wrong."""
    device = gpu()
    what.require_agreement(device)
    return extra_bytes(what.prepare(device)), what.how(device)
