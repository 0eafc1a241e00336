"""Each operator's time on the scale of its floor: a bar for ours, a mark for the definition and for every peer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from muse.reporting import figures
from muse.reporting.plots import canvas
from muse.reporting.plots.drawing import Drawing
from muse.reporting.plots.rows import sources
from muse.reporting.timings import Timing, timings
from muse.store.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = (
    canvas.Mark("D", 4.0, canvas.VERMILLION, "none"),
    canvas.Mark("^", 4.5, canvas.GREEN, "none"),
    canvas.Mark("s", 4.0, canvas.PURPLE, "none"),
    canvas.Mark("x", 4.5, canvas.INK, canvas.INK),
)
"""Each operator's others, in the order of its claims; their names stand in the operator's own line."""
SMALL = 0.065
"""Inches that a letter of a small label needs."""


def draw(records: Sequence[Record], claims: Sequence[str]) -> Drawing | None:
    """Each operator at one size, as it was timed beside its floor; None where none was. No claim is named for it."""
    rows: list[str | Timing] = []
    for operator, timed in groupby(sorted(timings(records), key=_operator), _operator):
        rows += [operator, *_telling(timed)]
    found = [row for row in rows if isinstance(row, Timing)]
    if not found:
        return None
    figure, axes = canvas.rowed([_label(row) for row in rows], 2, letter=SMALL)
    axes.tick_params(axis="y", labelsize=7)
    for row, label in zip(rows, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if isinstance(row, str) else "normal")
    placed = {y: row for y, row in enumerate(rows) if isinstance(row, Timing)}
    _scale(axes, max(max(one.floors, *one.rivals.values(), 2.0) for one in found))
    axes.barh(
        list(placed), [one.floors - 1 for one in placed.values()], 0.62, 1.0,
        color=canvas.SKY, edgecolor=canvas.INK, linewidth=0.6,
    )  # fmt: skip
    for y, row in enumerate(rows):
        if isinstance(row, str):
            _others(axes, y, {place: one for place, one in placed.items() if one.operator == row})
    told = [("", "") if isinstance(row, str) else (_times(row), _figure(row.seconds, "ms")) for row in rows]
    canvas.column(axes, 0, "floors", [times for times, _ in told])
    canvas.column(axes, 1, "ms", [milliseconds for _, milliseconds in told])
    axes.set_xlabel("times the floor")
    farthest = max(found, key=lambda one: one.floors)
    inputs = {"case": f"{_words(farthest.operator)}, {_label(farthest)}", "times": _times(farthest)}
    return Drawing(figure, "floors", inputs, sources(record for one in found for record in one.records))


def _telling(passes: Iterable[Timing]) -> list[Timing]:
    """The passes at the size at which most peers were timed; of several such sizes, the one with the most work."""
    sizes: dict[tuple[str, str], list[Timing]] = {}
    for one in passes:
        sizes.setdefault((one.case, one.dtype), []).append(one)

    def said(size: list[Timing]) -> tuple[int, float]:
        peers = {name for one in size for name in one.rivals} - {"reference"}
        return len(peers), max(one.seconds / one.floors for one in size)

    return max(sizes.values(), key=said)


def _operator(one: Timing) -> str:
    return one.operator


def _scale(axes: Axes, most: float) -> None:
    """A logarithmic axis from the floor on."""
    ticks = [n * 10**power for power in range(6) for n in (1, 3)]
    shown = [tick for tick in ticks if tick < most] + [next(tick for tick in ticks if tick >= most)]
    axes.set_xscale("log")
    axes.set_xlim(0.8, shown[-1])
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown], fontsize=7)
    axes.set_xticks([], minor=True)
    axes.axvline(1, color=canvas.INK, linewidth=0.8)


def _others(axes: Axes, line: int, timed: Mapping[int, Timing]) -> None:
    """One operator's definition and peers: their times, and in the operator's own line who they are."""
    here, end = axes.get_yaxis_transform(), 0.0
    width = axes.get_position().width * canvas.WIDTH
    names = dict.fromkeys(name for one in timed.values() for name in one.rivals)
    for name, mark in zip(names, MARKS, strict=False):
        points = [(one.rivals[name], y) for y, one in timed.items() if name in one.rivals]
        canvas.marked(axes, [x for x, _ in points], [y for _, y in points], mark)
        canvas.marked(axes, [(end + 0.12) / width], [line], mark, here)
        axes.text((end + 0.2) / width, line, _words(name), transform=here, va="center", fontsize=7)
        end += 0.34 + SMALL * len(name)


def _label(row: str | Timing) -> str:
    if isinstance(row, str):
        return _words(row)
    return f"{row.case}, {row.dtype}, {row.passes}"


def _times(one: Timing) -> str:
    return _figure(one.floors, "times")


def _figure(value: float, unit: str) -> str:
    return figures.figure(value, unit, figures.significant(value, unit)).grouped


def _words(name: str) -> str:
    return name.replace("_", " ")
