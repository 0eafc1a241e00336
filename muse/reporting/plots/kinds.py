"""Memory by what it is held for: one stacked bar per case."""

from __future__ import annotations

from collections.abc import Sequence

from muse.reporting import figures
from muse.reporting.plots import canvas
from muse.reporting.plots.drawing import Drawing
from muse.reporting.plots.rows import Row, rows, sources
from muse.store.record import Record
from muse.units import UNITS

KINDS = {
    "parameters": (canvas.BLUE, ""),
    "gradients": (canvas.ORANGE, "////"),
    "optimizer": (canvas.GREEN, "...."),
    "activations": (canvas.VERMILLION, "\\\\\\\\"),
    "workspace": ("none", "xxxx"),
}
"""The kinds from left to right, each with its colour and hatch."""


def draw(records: Sequence[Record], claims: Sequence[str]) -> Drawing | None:
    """The sound peaks of `claims` whose record tells the kinds apart; None when none does."""
    found = [(row, record) for claim in claims for row in rows(records, claim) if (record := _told(row))]
    if not found:
        return None
    row = found[0][0]
    unit, labels = (
        row.claim.unit,
        [row.label if len(claims) == 1 else f"{row.claim.name} {row.label}" for row, _ in found],
    )
    bytes_of = [_kinds(record) for _, record in found]
    present = [kind for kind in KINDS if any(held[kind] for held in bytes_of)]
    figure, axes = canvas.rowed(labels, 1)
    start = [0.0] * len(found)
    for kind in present:
        width = [held[kind] / float(UNITS[unit].factor) for held in bytes_of]
        colour, hatch = KINDS[kind]
        axes.barh(range(len(found)), width, 0.62, start, color=colour, hatch=hatch, edgecolor=canvas.INK, linewidth=0.6)
        start = [before + more for before, more in zip(start, width, strict=True)]
    canvas.swatches(figure, {kind: KINDS[kind] for kind in present})
    canvas.column(axes, 0, "Σ", [row.text(sum(held.values())) for held in bytes_of])
    axes.set_xlabel(figures.label(unit))
    return Drawing(figure, "kinds", _largest(labels, bytes_of), sources(record for _, record in found))


def _told(row: Row) -> Record | None:
    """The strongest sound record that tells the kinds apart."""
    return next((record for record in row.sound if record.measurement and "by_kind" in record.measurement.how), None)


def _kinds(record: Record) -> dict[str, int]:
    """What a prediction tells apart as scratch, a measurement cannot: it is drawn with the activations."""
    held = dict(record.measurement.how["by_kind"]) if record.measurement else {}
    held["activations"] = held.get("activations", 0) + held.pop("scratch", 0)
    return {kind: int(held.get(kind, 0)) for kind in KINDS}


def _largest(labels: Sequence[str], bytes_of: Sequence[dict[str, int]]) -> dict[str, str]:
    """The largest share that one kind has in one case."""
    shares = [
        (held[kind] / sum(held.values()), kind, label)
        for label, held in zip(labels, bytes_of, strict=True)
        for kind in held
    ]
    share, kind, label = max(shares, key=lambda one: one[0])
    return {"share": f"{100 * share:.1f} %", "kind": kind, "case": label}
