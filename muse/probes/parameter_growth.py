"""How the parameters of a model, or of one of its parts, grow with its width: exact, on the meta device."""

from __future__ import annotations

import torch

from muse import models
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.parameters import counted
from muse.probes.slope import slope


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The slope of the count over the width: 1 is O(d), 2 is O(d^2)."""
    model, part, widths = claim.given["model"], claim.given.get("part", "all"), claim.given["widths"]
    with torch.device("meta"):
        counts = [counted(models.build(model, d_model=width), part) for width in widths]
    return slope(widths, counts, Scope.EXACT)
