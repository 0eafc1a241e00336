"""What the templates see: documents, sections and rows with every number finished. Arithmetic ends here."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from muse.claims.claim import Claim, Scope, Status
from muse.reporting import evidence, figures, places
from muse.reporting.cell import Cell, cell
from muse.reporting.figures import Figure
from muse.reporting.findings import Finding, finding
from muse.reporting.places import Machine
from muse.reporting.quotes import Quotes
from muse.reporting.words import ENGLISH, Words, language_of, load
from muse.store.record import Record

DIFFER = "differ"
"""The tag of a row whose procedures disagree."""


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
    """In words, of both procedures."""
    scopes: tuple[str, ...]
    """The codes of all its evidence."""
    status: str
    """The verdict on the sentence: the sound procedure's where there is one."""
    verdict: str
    """The same in words, and both verdicts where the procedures disagree."""
    differ: bool
    stale: bool
    reason: str
    tags: tuple[str, ...]
    """What the page filters by: its verdict, then those of its other claims, then marks."""
    machines: tuple[str, ...]
    """Where all its evidence was taken."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """A heading of a document."""

    number: int
    title: str
    original: str | None
    """The title in the document's own words."""
    rows: tuple[Row, ...]

    @property
    def language(self) -> str:
        """The original title's language, where its script tells."""
        return language_of(self.original)


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
    places: tuple[str, ...]
    """Where its evidence was taken, and when, in words."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Chip:
    """A filter of the page: what it selects and how many rows that is."""

    name: str
    rows: int


@dataclass(frozen=True)
class Picture:
    """A figure: the file's name without its ending, a sentence about it, and its SVG."""

    name: str
    caption: str
    svg: str


@dataclass(frozen=True)
class View:
    """A whole report in one language."""

    documents: tuple[DocumentView, ...]
    total: Tally
    machines: tuple[Machine, ...]
    chips: tuple[Chip, ...]
    scopes: tuple[str, ...]
    """The codes of the evidence there is."""
    rows: int
    guide: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    words: Words
    languages: tuple[tuple[str, str], ...]
    """The languages that a page links to, each with its name."""


def build(  # noqa: PLR0913  the last are ornaments
    records: Sequence[Record],
    stale: Callable[[Record], bool],
    titles: Mapping[str, str],
    words: Words | None = None,
    *,
    pictures: Sequence[Picture] = (),
    languages: Mapping[str, str] | None = None,
    findings: Mapping[str, Sequence[str]] | None = None,
) -> View:
    """The report of `records`.

    Parameters
    ----------
    records : any number per claim, of any machine; one of each claim is shown
    stale : whether the source behind a record has changed since
    titles : the title of each document by its name; a document without one goes by its name
    words : the language; English by default
    pictures : figures, with captions in that language
    languages : the languages that the page links to, by code, with their names
    findings : what each document's report opens with, in English, by the document's name
    """
    words = words or load()
    shown = evidence.chosen(records)
    homes = evidence.row_homes([record.claim for record in shown])
    known = {record.claim.id: record.claim for record in shown}
    quotes = Quotes(records, stale)
    cells = {
        r.claim.id: cell(r, known[homes[r.claim.id]], _anchor(r.claim.id), words, quotes, stale=stale(r)) for r in shown
    }
    titles = {evidence.FITS: words.text("fit"), **titles}
    documents = []
    for name in sorted({record.claim.document for record in shown}):
        mine = [cells[record.claim.id] for record in shown if record.claim.document == name]
        title = titles.get(name, name)
        sections = _sections(mine, homes, words)
        told = tuple(finding(text, name, quotes, cells, words) for text in (findings or {}).get(name, ()))
        documents.append(
            DocumentView(name, title, _anchor(name), _tally(title, mine), sections, places.places(mine, words), told)
        )
    rows = [row for document in documents for section in document.sections for row in section.rows]
    return View(
        documents=tuple(documents),
        total=_tally("all", list(cells.values())),
        machines=places.machines(list(cells.values()), words),
        chips=_chips(rows),
        scopes=tuple(scope for scope in Scope if any(scope in row.scopes for row in rows)),
        rows=len(rows),
        guide=words.pairs("guide"),
        pictures=tuple(pictures),
        words=words,
        languages=tuple((languages or {}).items()),
    )


def _anchor(name: str) -> str:
    """`name` as an address within a page that needs no escaping: `a/b[c]` is `a/b:c`.

    A hash tells apart names that differ only in characters an address cannot hold.
    """
    plain = re.sub(r"[^A-Za-z0-9._!+,;=@/:-]+", "-", re.sub(r"\[(.*)\]$", r":\1", name))
    exact = re.fullmatch(r"[A-Za-z0-9._!+,;=@/-]+(\[[A-Za-z0-9._!+,;=@/-]+\])?", name)
    return plain if exact else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _sections(cells: Sequence[Cell], homes: Mapping[str, str], words: Words) -> tuple[Section, ...]:
    """Sections and rows in the order in which their first claim appears."""
    rows: defaultdict[str, list[Cell]] = defaultdict(list)
    for one in cells:
        rows[homes[one.id]].append(one)
    sections: defaultdict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for home, members in rows.items():
        row_base = next(one for one in members if one.id == home)
        sections[_heading(row_base.claim, words)].append(_row(row_base, members, words))
    return tuple(Section(number, *titles, tuple(found)) for number, (titles, found) in enumerate(sections.items(), 1))


def _heading(claim: Claim, words: Words) -> tuple[str, str | None]:
    """A section's title, and its original beside an English title."""
    if words.lang == ENGLISH:
        return claim.section, claim.original
    return claim.original or words.say(claim.section), None


def _row(base: Cell, members: Sequence[Cell], words: Words) -> Row:
    reproduced = _column([one for one in members if one.protocol == "documented"])
    sound = _column([one for one in members if one.protocol == "sound"])
    columns = [column for column in (reproduced, sound) if column]
    best = [column.best for column in columns]
    deciding = best[-1]
    differ, stale = len({one.status for one in best}) > 1, any(one.stale for one in members)
    held = [mark for mark, holds in ((DIFFER, differ), ("stale", stale)) if holds]
    number = base.claim.documented
    said = [words.text(f"status.{one.status}") for one in best]
    return Row(
        id=base.id,
        anchor=base.anchor,
        says=base.says,
        quote=base.claim.quote,
        language=language_of(base.claim.quote),
        case=base.claim.case,
        documented=None if number is None else figures.stated(number, base.claim.unit),
        unit=base.unit,
        tex_unit=base.tex_unit,
        reproduced=reproduced,
        sound=sound,
        scope=" / ".join(dict.fromkeys(words.text(f"scope.{one.scope}") for one in best if one.scope)) or "—",
        scopes=tuple(scope for scope in Scope if any(one.scope == scope for one in members)),
        status=deciding.status,
        verdict=words.text("verdict_differs", reproduced=said[0], sentence=said[-1]) if differ else said[-1],
        differ=differ,
        stale=stale,
        reason=_reason(best, words),
        tags=tuple(dict.fromkeys([deciding.status, *(one.status for one in members), *held])),
        machines=tuple(sorted({one.machine for one in members if one.value})),
        cells=tuple(sorted(_strongest_first(members), key=lambda one: one.protocol)),
    )


def _strongest_first(cells: Sequence[Cell]) -> list[Cell]:
    """Equals stay in the order of their claims; what only adds up printed figures comes last."""
    return sorted(cells, key=lambda one: (one.claim.probe == "arithmetic", evidence.strength(one.scope)))


def _column(cells: Sequence[Cell]) -> Column | None:
    ranked = _strongest_first(cells)
    return Column(ranked[0], tuple(one for one in ranked[1:] if one.value)) if ranked else None


def _reason(best: Sequence[Cell], words: Words) -> str:
    """Why, for each procedure that is not confirmed: the reason in words, then the cause."""
    texts = []
    for one in best:
        if one.status != Status.CONFIRMED:
            reason = one.reason[0].upper() + one.reason[1:]
            key = "reason_and_cause" if one.cause else "reason_alone"
            texts.append(words.text(key, reason=reason, cause=one.cause))
    return " ".join(dict.fromkeys(texts))


def _tally(document: str, cells: Sequence[Cell]) -> Tally:
    count = Counter(one.status for one in cells)
    verdicts = {status.value: count[status] for status in Status}
    return Tally(document, len(cells), **verdicts, stale=sum(one.stale for one in cells))


def _chips(rows: Sequence[Row]) -> tuple[Chip, ...]:
    count = Counter(tag for row in rows for tag in row.tags)
    return tuple(Chip(name, count[name]) for name in (*Status, DIFFER, "stale") if count[name])
