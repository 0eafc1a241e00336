"""How far predictions were off: each workload's miss, as a share of what was measured, over its size."""

from __future__ import annotations

from collections.abc import Sequence

from muse.reporting import evidence
from muse.reporting.plots import canvas
from muse.reporting.plots.drawing import Drawing
from muse.reporting.plots.rows import sources, strongest
from muse.store.record import Record

HEIGHT = 2.6
GIB = 2**30
MARKS = (canvas.SOUND, canvas.REPRODUCED)
"""Of the first claim, by the sound procedure, and of the second, by the documents'."""


def draw(records: Sequence[Record], claims: Sequence[str]) -> Drawing | None:
    """The cases of `claims` whose records tell a predicted and a measured peak; None without any."""
    from matplotlib.figure import Figure

    shown = evidence.chosen(records)
    groups = [strongest(r for r in shown if r.claim.id.split("[")[0] == claim and _told(r)) for claim in claims]
    found = [record for group in groups for record in group]
    if not found:
        return None
    figure = Figure(figsize=(canvas.WIDTH, HEIGHT))
    axes = figure.add_axes((0.11, 0.2, 0.86, 0.72))
    axes.set_xscale("log")
    axes.axhline(0, color=canvas.FAINT, linewidth=0.8)
    for group, mark in zip(groups, MARKS, strict=False):
        canvas.marked(axes, [_peak(r) / GIB for r in group], [100 * _miss(r) for r in group], mark)
    axes.set_xlabel("measured, GiB")
    axes.set_ylabel("predicted − measured, %")  # noqa: RUF001  a minus
    farthest = max(found, key=lambda record: abs(_miss(record)))
    inputs = {
        "count": str(len(found)),
        "exact": str(sum(_miss(record) == 0 for record in found)),
        "miss": f"{100 * _miss(farthest):+.2g} %".replace("-", "−"),  # noqa: RUF001
        "case": farthest.claim.case or farthest.claim.name,
    }
    return Drawing(figure, "misses", inputs, sources(found))


def _told(record: Record) -> bool:
    return record.measurement is not None and {"predicted", "measured"} <= set(record.measurement.how)


def _peak(record: Record) -> int:
    assert record.measurement is not None
    return int(record.measurement.how["measured"])


def _miss(record: Record) -> float:
    assert record.measurement is not None
    return (int(record.measurement.how["predicted"]) - _peak(record)) / _peak(record)
