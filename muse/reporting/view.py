"""What the templates see: documents, sections and rows with every number finished. Arithmetic ends here."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from muse.claims.claim import Scope, Status
from muse.reporting import evidence, figures
from muse.reporting.cell import Cell, cell
from muse.reporting.figures import Figure
from muse.reporting.guide import GUIDE
from muse.store.record import Record

STRONGEST = (Scope.MEASURED, Scope.EMULATED, Scope.EXACT, Scope.PREDICTED)
"""Which evidence a column shows first."""
DIFFER = "procedures differ"


@dataclass(frozen=True)
class Column:
    """The evidence of one procedure for one sentence."""

    best: Cell
    asides: tuple[Cell, ...]
    """Further evidence with a value, such as the prediction beside a measurement."""


@dataclass(frozen=True)
class Row:
    """One sentence of a document, with the evidence of both procedures."""

    id: str
    anchor: str
    says: str
    quote: str | None
    language: str
    """The quote's language, where its script tells."""
    case: str | None
    documented: Figure | None
    unit: str
    tex_unit: str
    reproduced: Column | None
    sound: Column | None
    scope: str
    status: str
    """The verdict on the sentence: the sound procedure's where there is one."""
    verdict: str
    """The same in words, and both verdicts where the procedures disagree."""
    differ: bool
    stale: bool
    reason: str
    tags: tuple[str, ...]
    """What the page filters by."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """A heading of a document."""

    number: int
    title: str
    original: str | None
    """The title in the document's own words."""
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Tally:
    """How many claims there are, how many of each verdict, and how many are stale."""

    document: str
    """Its title; "all" in the total."""
    claims: int
    confirmed: int
    refuted: int
    inconclusive: int
    unmeasured: int
    stale: int


@dataclass(frozen=True)
class DocumentView:
    """A document under test."""

    name: str
    title: str
    anchor: str
    tally: Tally
    sections: tuple[Section, ...]


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


@dataclass(frozen=True)
class Chip:
    """A filter of the page: what it selects and how many rows that is."""

    name: str
    rows: int


@dataclass(frozen=True)
class View:
    """A whole report."""

    documents: tuple[DocumentView, ...]
    total: Tally
    machines: tuple[Machine, ...]
    chips: tuple[Chip, ...]
    rows: int
    guide: tuple[tuple[str, str], ...]


def build(records: Sequence[Record], stale: Callable[[Record], bool], titles: Mapping[str, str]) -> View:
    """The report of `records`.

    Parameters
    ----------
    records : any number per claim, of any machine; one of each claim is shown
    stale : whether the source behind a record has changed since
    titles : the title of each document by its name; a document without one goes by its name
    """
    shown = evidence.chosen(records)
    homes = evidence.row_homes([record.claim for record in shown])
    known = {record.claim.id: record.claim for record in shown}
    cells = {r.claim.id: cell(r, known[homes[r.claim.id]], _anchor(r.claim.id), stale=stale(r)) for r in shown}
    documents = []
    for name in sorted({record.claim.document for record in shown}):
        mine = [cells[record.claim.id] for record in shown if record.claim.document == name]
        sections = _sections(mine, homes)
        documents.append(
            DocumentView(name, titles.get(name, name), _anchor(name), _tally(titles.get(name, name), mine), sections)
        )
    rows = [row for document in documents for section in document.sections for row in section.rows]
    return View(
        documents=tuple(documents),
        total=_tally("all", list(cells.values())),
        machines=_machines(list(cells.values())),
        chips=_chips(rows),
        rows=len(rows),
        guide=GUIDE,
    )


def _anchor(name: str) -> str:
    """`name` as an address within a page that needs no escaping: `a/b[c]` is `a/b:c`.

    A hash tells apart names that differ only in characters an address cannot hold.
    """
    plain = re.sub(r"[^A-Za-z0-9._!+,;=@/:-]+", "-", re.sub(r"\[(.*)\]$", r":\1", name))
    exact = re.fullmatch(r"[A-Za-z0-9._!+,;=@/-]+(\[[A-Za-z0-9._!+,;=@/-]+\])?", name)
    return plain if exact else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _sections(cells: Sequence[Cell], homes: Mapping[str, str]) -> tuple[Section, ...]:
    """Sections and rows in the order in which their first claim appears."""
    rows: defaultdict[str, list[Cell]] = defaultdict(list)
    for one in cells:
        rows[homes[one.id]].append(one)
    sections: defaultdict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for home, members in rows.items():
        row_base = next(one for one in members if one.id == home)
        sections[row_base.claim.section, row_base.claim.original].append(_row(row_base, members))
    return tuple(Section(number, *titles, tuple(found)) for number, (titles, found) in enumerate(sections.items(), 1))


def _row(base: Cell, members: Sequence[Cell]) -> Row:
    reproduced = _column([one for one in members if one.protocol == "documented"])
    sound = _column([one for one in members if one.protocol == "sound"])
    columns = [column for column in (reproduced, sound) if column]
    best = [column.best for column in columns]
    deciding = best[-1]
    differ, stale = len({one.status for one in best}) > 1, any(one.stale for one in members)
    marks = {DIFFER: differ, "stale": stale}
    number = base.claim.documented
    return Row(
        id=base.id,
        anchor=base.anchor,
        says=base.claim.says,
        quote=base.claim.quote,
        language="ja" if re.search("[\u3041-\u30ff]", base.claim.quote or "") else "",
        case=base.claim.case,
        documented=None if number is None else figures.stated(number, base.claim.unit),
        unit=base.unit,
        tex_unit=base.tex_unit,
        reproduced=reproduced,
        sound=sound,
        scope=" / ".join(dict.fromkeys(one.scope for one in best if one.scope)) or "—",
        status=deciding.status,
        verdict=f"reproduced: {best[0].status}; sentence: {deciding.status}" if differ else deciding.status,
        differ=differ,
        stale=stale,
        reason=_reason(best),
        tags=(deciding.status, *(mark for mark, holds in marks.items() if holds)),
        cells=tuple(sorted(_ranked(members), key=lambda one: one.protocol)),
    )


def _ranked(cells: Sequence[Cell]) -> list[Cell]:
    """Strongest evidence first; equals stay in the order of their claims."""
    order = {scope.value: place for place, scope in enumerate(STRONGEST)}
    return sorted(cells, key=lambda one: order.get(one.scope, len(order)))


def _column(cells: Sequence[Cell]) -> Column | None:
    ranked = _ranked(cells)
    return Column(ranked[0], tuple(one for one in ranked[1:] if one.value)) if ranked else None


def _reason(best: Sequence[Cell]) -> str:
    """Why, for each procedure that is not confirmed: the reason in words, then the cause."""
    texts = []
    for one in best:
        if one.status != Status.CONFIRMED:
            reason = one.reason[0].upper() + one.reason[1:]
            texts += [f"{reason}.", one.cause or ""]
    return " ".join(dict.fromkeys(text for text in texts if text))


def _tally(document: str, cells: Sequence[Cell]) -> Tally:
    count = Counter(one.status for one in cells)
    verdicts = {status.value: count[status] for status in Status}
    return Tally(document, len(cells), **verdicts, stale=sum(one.stale for one in cells))


def _chips(rows: Sequence[Row]) -> tuple[Chip, ...]:
    count = Counter(tag for row in rows for tag in row.tags)
    return tuple(Chip(name, count[name]) for name in (*Status, DIFFER, "stale") if count[name])


def _machines(cells: Sequence[Cell]) -> tuple[Machine, ...]:
    """Where the evidence comes from. A claim that nothing measured brings no evidence."""
    dates: defaultdict[tuple[str, str, str, str, str], list[str]] = defaultdict(list)
    for one in cells:
        if one.value:
            dates[one.machine, one.gpu, one.driver, one.torch, one.commit].append(one.date)
    return tuple(
        Machine(*place, " to ".join(sorted({min(days), max(days)})), len(days)) for place, days in sorted(dates.items())
    )
