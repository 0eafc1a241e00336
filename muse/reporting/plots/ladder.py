"""From a baseline down: one bar per step, with what each saves as documented and as measured."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from muse.claims.measurement import Real
from muse.reporting import figures
from muse.reporting.plots import canvas
from muse.reporting.plots.drawing import Drawing
from muse.reporting.plots.rows import Row, rows, sources
from muse.store.record import Record
from muse.units import UNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST = 3


def draw(records: Sequence[Record], claims: Sequence[str]) -> Drawing | None:
    """The cases of `claims`, the first being the baseline.

    None unless there are three, and one besides the baseline is both documented and measured.
    """
    steps = [row for claim in claims for row in rows(records, claim)]
    told, found = _changes([row.documented for row in steps]), _changes([row.found for row in steps])
    both = [(row, a, b) for row, a, b in zip(steps, told, found, strict=True) if a is not None and b is not None]
    if len(steps) < FEWEST or len(both) < 2:
        return None
    figure, axes = canvas.rowed([row.label for row in steps], 4)
    _bars(axes, steps)
    canvas.column(axes, 0, canvas.DOCUMENTED, [row.stated for row in steps])
    canvas.column(axes, 1, canvas.DOCUMENTED, [_percent(change) for change in told])
    canvas.column(axes, 2, canvas.BAR, [row.text(row.found) for row in steps])
    canvas.column(axes, 3, canvas.BAR, [_percent(change) for change in found])
    row, most, least = max(both, key=lambda one: abs(one[1] - one[2]))
    inputs = {"case": row.label, "told": _percent(most), "found": _percent(least)}
    return Drawing(figure, "ladder", inputs, sources(r for row in steps for r in (row.sound or row.reproduced)[:1]))


def _bars(axes: Axes, steps: Sequence[Row]) -> None:
    """A bar up to what was measured, a mark where the document has it."""
    unit = steps[0].claim.unit
    factor = float(UNITS[unit].factor)
    bars = [(y, float(row.found) / factor) for y, row in enumerate(steps) if row.found is not None]
    marks = [(y, float(row.documented) / factor) for y, row in enumerate(steps) if row.documented is not None]
    axes.barh([y for y, _ in bars], [x for _, x in bars], 0.5, color=canvas.SKY, edgecolor=canvas.INK, linewidth=0.6)
    canvas.marked(axes, [x for _, x in marks], [y for y, _ in marks], canvas.DOCUMENTED)
    axes.set_xlim(left=0)
    axes.set_xlabel(figures.label(unit))


def _changes(values: Sequence[Real | None]) -> list[Fraction | None]:
    """How much each value lies above the first, relative to it."""
    first = values[0] if values else None
    return [None if not first or value is None else Fraction(value) / Fraction(first) - 1 for value in values]


def _percent(change: Fraction | None) -> str:
    if change is None:
        return "—"
    return f"{100 * float(change) + 0.0:.1f} %".replace("-", "\N{MINUS SIGN}")
