"""The documents' memory figures in one table, by the documents' procedure.

Beside what each prints stand what the documents' own card is predicted to need for it, and what a GPU measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from muse.claims.claim import Scope
from muse.reporting import figures
from muse.reporting.cell import Cell
from muse.reporting.figures import Figure
from muse.reporting.view import DocumentView, Row
from muse.units import decimals, printed

BYTES = "bytes"
"""The dimension of a memory figure."""


@dataclass(frozen=True)
class Taken:
    """Our evidence for a documented figure."""

    cell: Cell
    value: Figure
    rounds: bool
    """Whether it is the documented figure, rounded as that is printed."""
    off: str
    """Else, per cent of the documented figure; nothing where that is zero."""


@dataclass(frozen=True)
class Line:
    """One documented figure."""

    row: Row
    documented: Figure
    predicted: Taken
    measured: Taken | None

    @property
    def name(self) -> str:
        """The claim's, without its document."""
        return self.row.id.partition("/")[2]


@dataclass(frozen=True)
class Memory:
    """The table, and whose figures stand in its columns."""

    cards: str
    gpus: str
    parts: tuple[tuple[DocumentView, tuple[Line, ...]], ...]


def table(documents: Sequence[DocumentView]) -> Memory | None:
    """Of every document with such figures; None where there is none."""
    found = [(document, tuple(_lines(document))) for document in documents]
    parts = tuple((document, lines) for document, lines in found if lines)
    every = [line for _, lines in parts for line in lines]
    if not every:
        return None
    cards = dict.fromkeys(str(line.predicted.cell.claim.given["card"]) for line in every)
    gpus = dict.fromkeys(line.measured.cell.gpu for line in every if line.measured)
    return Memory(", ".join(cards), ", ".join(gpus), parts)


def _lines(document: DocumentView) -> list[Line]:
    rows = (row for section in document.sections for row in section.rows)
    return [line for row in rows if (line := _line(row))]


def _line(row: Row) -> Line | None:
    """A row whose documented bytes are predicted for the documents' card."""
    if row.documented is None or row.documented.dimension != BYTES or row.reproduced is None:
        return None
    cells = [cell for cell in (row.reproduced.best, *row.reproduced.asides) if not cell.other_unit]
    predicted = next((cell for cell in cells if cell.scope == Scope.PREDICTED and cell.claim.given.get("card")), None)
    measured = next((cell for cell in cells if cell.scope == Scope.MEASURED), None)
    taken = _taken(predicted, row.documented)
    return Line(row, row.documented, taken, _taken(measured, row.documented)) if taken else None


def _taken(cell: Cell | None, documented: Figure) -> Taken | None:
    if cell is None or cell.value is None:
        return None
    value, stated = float(cell.value.key), float(documented.key)
    as_printed = printed(Fraction(value), cell.claim.unit, decimals(Decimal(documented.plain)))
    off = f"{100 * (value / stated - 1):.1f}" if stated else ""
    return Taken(
        cell, cell.value, Decimal(as_printed) == Decimal(documented.plain), figures.grouped(off) if off else ""
    )
