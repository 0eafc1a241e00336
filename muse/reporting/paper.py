"""The paper side of a report: a table per section, a macro per claim, and an article that includes them all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from muse.claims.claim import Scope, Status
from muse.errors import MuseError
from muse.reporting import escape, figures
from muse.reporting.cell import Cell
from muse.reporting.escape import Safe
from muse.reporting.figures import Figure
from muse.reporting.memory import table
from muse.reporting.view import Column, Row, Section, View
from muse.reporting.words import SHIPPED, Templates, Words

MOST_LINES = 20
"""A section of more lines breaks over pages."""
MOST_DIGITS = 7
"""A longer whole number is not aligned at its point: it would widen the column of all others."""

_CJK = re.compile("([\u3000-\u30ff\u4e00-\u9fff\uff01-\uff60]+)")


@dataclass(frozen=True)
class Fact:
    """One claim as a paper quotes it; `measured` is by the sound procedure where there is one."""

    base: Cell
    """Of the claim that states the document's number."""
    cell: Cell
    """The evidence that is quoted."""
    verdict: str

    @property
    def documented(self) -> Safe:
        """The document's number with its unit; a dash where it printed none."""
        return _quantity(self._printed, self.base)

    @property
    def measured(self) -> Safe:
        """The measured number with its unit; a dash where there is none, and the marks of `_mark`."""
        return Safe(_quantity(self.cell.value, self.cell) + self._mark)

    @property
    def documented_number(self) -> Safe:
        """`documented` without its unit, for a table that names the unit once."""
        return _number(self._printed)

    @property
    def measured_number(self) -> Safe:
        """`measured` without its unit."""
        return Safe(_number(self.cell.value) + self._mark)

    @property
    def _printed(self) -> Figure | None:
        number = self.base.claim.documented
        return None if number is None else figures.stated(number, self.base.claim.unit)

    @property
    def _mark(self) -> str:
        """A dagger where it is not confirmed; a double dagger where it was predicted, not measured."""
        doubtful = self.cell.value and self.cell.status != Status.CONFIRMED
        marks = r"\dagger" * bool(doubtful) + r"\ddagger" * (self.cell.scope == Scope.PREDICTED)
        return rf"\textsuperscript{{${marks}$}}" if marks else ""


@dataclass(frozen=True)
class Group:
    """Rows that share one sentence: the cases of one claim, or one claim alone."""

    name: str
    says: str
    rows: tuple[Row, ...]


def pages(view: View, templates: Templates = (SHIPPED,)) -> dict[str, str]:
    """The texts of a paper's folder, by their path within it.

    Parameters
    ----------
    view : the report in one language
    templates : the folders that hold `tex`; a table shaped by hand lies there in its document's folder

    Raises MuseError where a template names a claim, a word or a field that does not exist,
    or where a text has no form in TeX.
    """
    facts = _facts(view)
    environment = _environment(templates, view.words)
    environment.globals["claim"] = partial(_fact, facts)
    texts = {
        f"tables/{document.name}-{section.number}.tex": _text(
            environment, "table", section=section, columns=_columns(section)
        )
        for document in view.documents
        for section in document.sections
    }
    shaped = {file.stem: document.name for document in view.documents for file in _shaped(document.name, templates)}
    texts |= {f"tables/{name}.tex": _text(environment, f"{document}/{name}") for name, document in shaped.items()}
    memory = table(view.documents)
    if memory:
        texts["tables/memory.tex"] = _text(environment, "memory", memory=memory)
    texts["claims.tex"] = _text(environment, "claims", facts=facts)
    texts["article.tex"] = _text(environment, "article", view=view, shaped=shaped, memory=memory)
    return texts


def _shaped(document: str, templates: Templates) -> list[Path]:
    return sorted(file for folder in templates for file in (folder / "tex" / document).glob("*.tex"))


def tex(value: Any) -> str:
    """`value` as TeX text; Japanese stays as it is, for the CJK environment around it."""
    if isinstance(value, Safe):
        return value
    return "".join(part if _CJK.fullmatch(part) else escape.tex(part) for part in _CJK.split(str(value)))


def groups(rows: Iterable[Row]) -> list[Group]:
    """Neighbouring rows of one claim and one sentence, together."""
    found = groupby(rows, key=lambda row: (row.id.partition("/")[2].partition("[")[0], row.says))
    return [Group(name, says, tuple(members)) for (name, says), members in found]


def reasons(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows that are not simply confirmed, by why."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.reason:
            found.setdefault(row.reason, []).append(row)
    return found


def aligned(found: Sequence[Figure | None]) -> str:
    """The `table-format` of siunitx that holds all of `found`."""
    plain = [one.plain for one in found if one and _fits(one)]
    sign = "-" if any(text.startswith("-") for text in plain) else ""
    parts = [text.lstrip("-").partition(".") for text in plain]
    whole, fraction = (max((len(part[side]) for part in parts), default=1) for side in (0, 2))
    return f"{sign}{whole}.{fraction}"


def entry(found: Figure | None) -> Safe:
    """`found` in an S column: aligned at its point where it fits there."""
    if found is None:
        return Safe("")
    return Safe(found.plain if _fits(found) else rf"{{\num{{{found.plain}}}}}")


def measured(column: Column | None) -> Safe:
    """One procedure's number in an S column, above its interval and the unit that is not the row's."""
    if column is None:
        return Safe("")
    best = column.best
    if not best.value:
        return Safe(r"{\textemdash{}}")
    interval = rf"[\num{{{best.low.plain}}}, \num{{{best.high.plain}}}]" if best.low and best.high else ""
    below = " ".join(part for part in (interval, tex(best.other_unit)) if part)
    stack = rf"\begin{{tabular}}[t]{{@{{}}c@{{}}}}\num{{{best.value.plain}}}\\{{\scriptsize {below}}}\end{{tabular}}"
    return Safe(f"{{{stack}}}") if below else entry(best.value)


def _fits(found: Figure) -> bool:
    return "e" not in found.plain and len(found.plain.partition(".")[0].lstrip("-")) <= MOST_DIGITS


def _columns(section: Section) -> tuple[list[Figure | None], ...]:
    """What the columns documented, documented procedure and sound procedure are aligned by."""
    rows = section.rows
    return (
        [row.documented for row in rows],
        [row.reproduced.best.value for row in rows if row.reproduced],
        [row.sound.best.value for row in rows if row.sound],
    )


def _number(found: Figure | None) -> Safe:
    return Safe(rf"\num{{{found.plain}}}" if found else r"\textemdash{}")


def _quantity(found: Figure | None, cell: Cell) -> Safe:
    if not found or not (cell.tex_unit or cell.unit):
        return _number(found)
    if cell.tex_unit:
        return Safe(rf"\qty{{{found.plain}}}{{{cell.tex_unit}}}")
    return Safe(rf"{_number(found)}~{tex(cell.unit)}")


def _facts(view: View) -> dict[str, Fact]:
    """What a paper can quote, by address. A row's address quotes the row; the other claims in it quote themselves."""
    facts: dict[str, Fact] = {}
    for row in (row for document in view.documents for section in document.sections for row in section.rows):
        own = {cell.id: cell for cell in row.cells}
        facts |= {name: Fact(cell, cell, view.words.text(f"status.{cell.status}")) for name, cell in own.items()}
        if column := row.sound or row.reproduced:
            facts[row.id] = Fact(own[row.id], column.best, row.verdict)
    for name in facts:
        if wrong := re.search(r"[\\{}%#\s]", name):
            raise MuseError(f"{name}: {wrong[0]!r} in an address cannot be an argument in TeX")
    return facts


def _fact(facts: Mapping[str, Fact], *names: str) -> Fact:
    """The first of the claims that has a value; where none has, the first."""
    for name in names:
        if name not in facts:
            raise MuseError(f"no claim {name!r} among the records")
    return next((facts[name] for name in names if facts[name].cell.value), facts[names[0]])


def _environment(templates: Templates, words: Words) -> Environment:
    environment = Environment(  # noqa: S701  TeX has its own escaping, by finalize
        loader=FileSystemLoader([folder / "tex" for folder in templates]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=tex if words.lang == "ja" else escape.tex,
        block_start_string=r"\BLOCK{",
        block_end_string="}",
        variable_start_string=r"\VAR{",
        variable_end_string="}",
        comment_start_string=r"\NOTE{",
        comment_end_string="}",
    )
    environment.filters |= {"ready": Safe, "breakable": escape.tex_breakable, "aligned": aligned, "entry": entry}
    environment.filters |= {"groups": groups, "reasons": reasons, "measured": measured}
    environment.globals |= {"words": words, "counts": asdict, "most_lines": MOST_LINES}
    return environment


def _text(environment: Environment, name: str, **context: Any) -> str:
    try:
        return environment.get_template(f"{name}.tex").render(context)
    except (TemplateError, MuseError) as error:
        raise MuseError(f"templates/tex/{name}.tex: {str(error).splitlines()[0]}") from error
