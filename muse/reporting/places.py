"""Where the evidence of a report was taken, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from muse.reporting.cell import Cell
from muse.reporting.words import Words


@dataclass(frozen=True)
class Machine:
    """A place where evidence was taken, with the days and the number of claims."""

    name: str
    gpu: str
    driver: str
    torch: str
    commit: str
    dates: str
    claims: int


def machines(cells: Sequence[Cell], words: Words) -> tuple[Machine, ...]:
    """Where the evidence comes from. A claim that nothing measured brings no evidence."""
    dates: defaultdict[tuple[str, str, str, str, str], list[str]] = defaultdict(list)
    for one in cells:
        if one.value:
            dates[one.machine, one.gpu, one.driver, one.torch, one.commit].append(one.date)
    return tuple(Machine(*place, _days(days, words), len(days)) for place, days in sorted(dates.items()))


def places(cells: Sequence[Cell], words: Words) -> tuple[str, ...]:
    """The GPUs, and the machines without one, each with its days and its number of claims."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in cells:
        if one.value and one.gpu == "none":
            found["place_without_gpu", one.machine].append(one.date)
        elif one.value:
            found["place", one.gpu].append(one.date)
    return tuple(
        words.text(f"document.{kind}", name=name, dates=_days(days, words), claims=len(days))
        for (kind, name), days in sorted(found.items())
    )


def _days(days: Sequence[str], words: Words) -> str:
    first, last = min(days), max(days)
    return first if first == last else words.text("dates", first=first, last=last)
