"""The closed formula by which a document counted a configuration that it never instantiated."""

from __future__ import annotations

from fractions import Fraction

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.models import phase8_push
from muse.probes.bench import Bench


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The count of one part or of all parts, before or after compression; or its share of all, or what was saved."""
    given = claim.given
    part = given.get("part", "total")
    counts = {compressed: _counts(given, compressed=compressed) for compressed in (False, True)}
    mine = counts[given.get("compressed", False)]
    match claim.quantity:
        case "share":
            value = Fraction(mine[part], mine["total"])
        case "kept":
            value = Fraction(counts[True][part], counts[False][part])
        case "saved":
            value = 1 - Fraction(counts[True][part], counts[False][part])
        case _:
            value = Fraction(mine[part])
    return certain(value if value.denominator > 1 else int(value), Scope.EXACT, parts=mine)


def _counts(given: dict[str, object], *, compressed: bool) -> dict[str, int]:
    config = phase8_push.PRESETS[str(given["model"])]
    parts = phase8_push.documented_counts(config.shape, config.n_seq, compressed=compressed)
    return parts | {"total": sum(parts.values())}
