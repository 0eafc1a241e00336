"""Documented against measured: one row per case, one mark per procedure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from muse.claims.measurement import Measurement
from muse.reporting import figures
from muse.reporting.plots import canvas
from muse.reporting.plots.drawing import Drawing
from muse.reporting.plots.rows import Row, rows, sources, taken
from muse.store.record import Record
from muse.units import UNITS


def draw(records: Sequence[Record], claims: Sequence[str]) -> Drawing | None:
    """The cases of `claims`; None unless one is documented and measured."""
    drawn = [row for claim in claims for row in rows(records, claim) if row.documented is not None]
    if not any(row.measured for row in drawn):
        return None
    unit = drawn[0].claim.unit
    factor = float(UNITS[unit].factor)
    figure, axes = canvas.rowed([row.label for row in drawn], 3)
    printed = [float(row.documented or 0) for row in drawn]
    canvas.marked(axes, [value / factor for value in printed], range(len(drawn)), canvas.DOCUMENTED)
    canvas.column(axes, 0, canvas.DOCUMENTED, [row.stated for row in drawn])
    sides = {canvas.REPRODUCED: [taken(r.reproduced) for r in drawn], canvas.SOUND: [taken(r.sound) for r in drawn]}
    for place, (mark, found) in enumerate(sides.items(), 1):
        points = [(y, one) for y, one in enumerate(found) if one]
        canvas.marked(axes, [float(one.value) / factor for _, one in points], [y for y, _ in points], mark)
        axes.hlines([y for y, _ in points], *_intervals([one for _, one in points], factor), color=mark.edge)
        canvas.column(
            axes, place, mark, [row.text(one.value if one else None) for row, one in zip(drawn, found, strict=True)]
        )
    axes.set_xlim(left=0)
    axes.set_xlabel(figures.label(unit))
    used = [record for row in drawn for record in (*row.reproduced[:1], *row.sound[:1])]
    return Drawing(figure, "dots", {"unit": figures.label(unit), **_widest(drawn)}, sources(used))


def _intervals(found: Sequence[Measurement], factor: float) -> tuple[list[float], list[float]]:
    return [float(one.low) / factor for one in found], [float(one.high) / factor for one in found]


def _widest(drawn: Sequence[Row]) -> dict[str, str]:
    """The case whose measurement lies farthest from the document, and by how much."""
    gaps = [
        (abs(Fraction(row.found) - row.documented), row)
        for row in drawn
        if row.found is not None and row.documented is not None
    ]
    gap, row = max(gaps, key=lambda pair: pair[0])
    return {"gap": row.text(gap), "case": row.label}
