"""What the page shows once a row is opened: labels and values, ready for reading, as compact data.

Texts repeat from claim to claim, so each stands once in `texts` and everything else is its number there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from muse.reporting.cell import COMMAND, Cell
from muse.reporting.view import Row, View

SPOKEN = ("details", "link", "copy", "copied", "in_address", "repeat", "expand", "collapse", "count")
"""The messages that the page's script needs."""


class _Texts:
    """Values in the order of their first use, each once."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def number(self, value: str | tuple[str, str]) -> int:
        return self.numbers.setdefault(value, len(self.numbers))


def details(view: View) -> str:
    """JSON for a script element: `<` is written so that no text can end it.

    `rows` maps a row's anchor to its quote, the quote's language and its cells. A cell is its anchor, claim,
    heading, status, staleness, value, sentence where it is not the row's, then label and value in turn;
    a value is a text's number, or a list of such numbers, each of a pair.
    """
    texts = _Texts()
    rows = [row for document in view.documents for section in document.sections for row in section.rows]
    data = {
        "command": COMMAND,
        "words": {name: view.words.messages[f"page.{name}"] for name in SPOKEN}
        | {"claim": view.words.text("column.claim")},
        "status": {tag: view.words.text(f"status.{tag}") for tag in _codes(rows)} | {"stale": view.words.text("stale")},
        "rows": {row.anchor: _row(row, view, texts) for row in rows},
        "texts": list(texts.numbers),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _codes(rows: list[Row]) -> list[str]:
    return sorted({cell.status for row in rows for cell in row.cells})


def _row(row: Row, view: View, texts: _Texts) -> list[Any]:
    return [row.quote or "", row.language, [_cell(cell, row, view, texts) for cell in row.cells]]


def _cell(cell: Cell, row: Row, view: View, texts: _Texts) -> list[Any]:
    heading = view.words.text(f"protocol.{cell.protocol}")
    if cell.scope:
        heading += f" · {view.words.text(f'scope.{cell.scope}')}"
    head = [cell.anchor, cell.id, texts.number(heading), cell.status, int(cell.stale), _value(cell)]
    says = "" if cell.says == row.says else texts.number(cell.says)
    facts: list[int | list[int]] = []
    for label, value in _facts(cell, view):
        facts.append(texts.number(view.words.text(f"column.{label}")))
        facts.append(texts.number(value) if isinstance(value, str) else [texts.number(pair) for pair in value])
    return [*head, says, facts]


def _value(cell: Cell) -> str:
    if cell.value is None:
        return "—"
    text = f"{cell.value.grouped} {cell.unit}".strip()
    return f"{text} [{cell.low.grouped}, {cell.high.grouped}]" if cell.low and cell.high else text


def _facts(cell: Cell, view: View) -> Iterator[tuple[str, str | tuple[tuple[str, str], ...]]]:
    """Label and value of everything that is known about one claim; what is empty is left out."""
    claim = cell.claim
    gpu = () if cell.gpu == "none" else (cell.gpu, cell.driver)
    known: tuple[tuple[str, str | tuple[tuple[str, str], ...]], ...] = (
        ("bound", cell.bound),
        ("margin", cell.margin),
        ("reason", f"{cell.reason}: {cell.detail}" if cell.detail else cell.reason),
        ("cause", cell.cause or ""),
        ("recorded", view.words.text(f"status.{claim.recorded}")),
        ("probe", ", ".join(name for name in (claim.probe, claim.quantity) if name)),
        ("given", cell.given),
        ("samples", str(cell.samples or "")),
        ("how", cell.how),
        ("machine", ", ".join((cell.machine, *gpu))),
        ("torch", "" if cell.torch == "none" else cell.torch),
        ("environment", cell.environment),
        ("commit", cell.commit),
        ("date", cell.time),
        ("record", cell.record),
    )
    yield from ((label, value) for label, value in known if value)
