"""How a figure grows with N: points, fitted power laws with their intervals, and the slopes 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import TYPE_CHECKING

from muse.claims.measurement import Measurement
from muse.reporting import evidence
from muse.reporting.plots import canvas
from muse.reporting.plots.drawing import Drawing
from muse.reporting.plots.rows import sources, strongest
from muse.store.record import Record
from muse.units import UNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNIT = {"attention_time": "ms", "attention_memory": "MiB"}
"""What the probe's points are printed in; the others count floating-point operations."""
STYLES = ((canvas.VERMILLION, "s"), (canvas.BLUE, "o"), (canvas.GREEN, "^"), (canvas.PURPLE, "D"))
HEIGHT = 3.1
LINE = 0.17
"""Inches between two lines of labels."""


@dataclass(frozen=True)
class Series:
    """One fitted power law."""

    label: str
    sizes: tuple[float, ...]
    grown: tuple[float, ...]
    """The part above the baseline, in the printed unit."""
    fit: Measurement

    def line(self, slope: float) -> list[float]:
        """A power law with `slope` through the middle of the points."""
        middle = median(self.sizes)
        height = median(y * (middle / x) ** float(self.fit.value) for x, y in zip(self.sizes, self.grown, strict=True))
        return [height * (x / middle) ** slope for x in self.sizes]

    @property
    def told(self) -> str:
        """The exponent with its interval."""
        return f"$N^{{{float(self.fit.value):.2f}}}$ [{float(self.fit.low):.2f}, {float(self.fit.high):.2f}]"


def draw(records: Sequence[Record], claims: Sequence[str]) -> Drawing | None:
    """The slopes of `claims`; None when none is measured."""
    from matplotlib.figure import Figure

    named = [record for record in evidence.chosen(records) if record.claim.id.split("[")[0] in claims]
    found = strongest(record for record in named if record.claim.quantity == "slope")
    if not found:
        return None
    unit = UNIT.get(str(found[0].claim.probe), "FLOP")
    series = _series(found, float(UNITS[unit].factor) if unit in UNITS else 1.0)
    figure = Figure(figsize=(canvas.WIDTH, HEIGHT))
    axes = figure.add_axes((0.1, 0.15, 0.54, 0.76))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ends = _references(axes, series) | _lines(axes, series)
    _label(axes, ends)
    sizes = sorted({size for one in series for size in one.sizes})
    octaves = [size for size in sizes if (size / sizes[0]).is_integer() and int(size / sizes[0]).bit_count() == 1]
    axes.set_xticks(octaves, [f"{size:.0f}" for size in octaves])
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("N")
    axes.set_title(unit, loc="left", fontsize=9)
    told = "; ".join(
        f"{one.label}: {float(one.fit.value):.2f} [{float(one.fit.low):.2f}, {float(one.fit.high):.2f}]"
        for one in series
    )
    return Drawing(figure, "scaling", {"slopes": told, "unit": unit}, sources(found))


def _series(found: Sequence[Record], factor: float) -> list[Series]:
    """One series per record, named by what its settings do not share with the others'."""
    given = [record.claim.given for record in found]
    differing = [key for key in sorted({k for one in given for k in one}) if len({str(o.get(key)) for o in given}) > 1]
    series = []
    for record in found:
        fit = record.measurement
        assert fit is not None
        sizes, values = zip(*fit.how["points"], strict=True)
        grown = tuple((value - fit.how["baseline"]) / factor for value in values)
        series.append(Series(_name(record.claim.given, differing), sizes, grown, fit))
    return series


def _name(given: Mapping[str, object], differing: Sequence[str]) -> str:
    words = [str(given[key]) if key == "model" else f"{key} {given[key]}" for key in differing if key in given]
    return ", ".join(words) or str(given.get("model", ""))


def _lines(axes: Axes, series: Sequence[Series]) -> dict[str, tuple[float, str]]:
    """Draw each series; gives what to write at its end, and in which colour."""
    ends = {}
    for one, (colour, shape) in zip(series, cycle(STYLES), strict=False):
        low, high = one.line(float(one.fit.low)), one.line(float(one.fit.high))
        axes.fill_between(one.sizes, low, high, color=colour, alpha=0.2, linewidth=0)
        line = one.line(float(one.fit.value))
        axes.plot(one.sizes, line, color=colour, linewidth=1)
        axes.plot(one.sizes, one.grown, shape, color=colour, markersize=4, clip_on=False, label=one.label)
        ends[f"{one.label}\n{one.told}"] = (line[-1], colour)
    return ends


def _references(axes: Axes, series: Sequence[Series]) -> dict[str, tuple[float, str]]:
    """Light lines of slope 1 and 2 below all points."""
    sizes = sorted({size for one in series for size in one.sizes})
    start = min(one.grown[0] for one in series) / 3
    ends = {}
    for slope in (1, 2):
        line = [start * (size / sizes[0]) ** slope for size in sizes]
        axes.plot(sizes, line, color=canvas.FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ends["$N$" if slope == 1 else "$N^2$"] = (line[-1], canvas.FAINT)
    return ends


def _label(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write at the end of each line, no two over each other."""
    from math import log10

    low, high = (log10(side) for side in axes.get_ylim())
    step = LINE / (0.76 * HEIGHT)
    lines = {text: text.count("\n") + 1 for text in ends}
    wanted = [(log10(height) - low) / (high - low) for height, _ in ends.values()]
    places = canvas.spread(wanted, step * max(lines.values()))
    for (text, (_, colour)), wish, place in zip(ends.items(), wanted, places, strict=True):
        axes.plot([1.0, 1.03], [wish, place], transform=axes.transAxes, clip_on=False, color=colour, linewidth=0.6)
        axes.text(1.04, place, text, transform=axes.transAxes, va="center", fontsize=8, linespacing=1.25)
