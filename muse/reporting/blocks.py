"""Parts of the project's own texts that are rendered from records, such as the README's findings.

Such a part stands between two lines, `<!-- muse: findings -->` and `<!-- /muse -->`, and its template, Markdown
in which `figure("claim id", "unit")` stands for a figure, in `blocks/findings.md` of the templates' folder.
A second word, as in `<!-- muse: timings bk_core -->`, is what the template calls `of`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from muse.errors import MuseError, UsageError
from muse.reporting import figures
from muse.reporting.quotes import Quotes
from muse.reporting.timings import Timing, timings
from muse.reporting.words import Templates, Words
from muse.store.record import Record

_BEGIN = re.compile(r"<!-- muse: (?P<name>[\w-]+( [\w-]+)?) -->")
_END = "<!-- /muse -->"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True)
class Block:
    """A part of a text between its two markers."""

    name: str
    line: int
    """The line of its first marker, from 1."""
    start: int
    end: int


@dataclass(frozen=True)
class Renewed:
    """A text whose blocks are not what the records give."""

    path: Path
    stale: tuple[Block, ...]
    content: bytes
    """The text with all its blocks as the records give them."""


def renewed(root: Path, without: Path, render: Callable[[str], str]) -> list[Renewed]:
    """Every Markdown file under `root` whose blocks differ from what `render` gives for their names.

    Hidden folders and `without`, which holds generated files, are left out.
    Raises UsageError, with file and line, for a marker without its other one and for an unknown name.
    """
    found = []
    for path in _texts(root, without):
        text = _read(path)
        pieces, stale, end = [], [], 0
        newline = "\r\n" if "\r\n" in text else "\n"
        for block in blocks(path, text):
            try:
                wanted = render(block.name).replace("\n", newline)
            except UsageError as error:
                raise UsageError(f"{path}:{block.line}: {error}") from None
            if text[block.start : block.end] != wanted:
                stale.append(block)
            pieces += [text[end : block.start], wanted]
            end = block.end
        if stale:
            found.append(Renewed(path, tuple(stale), "".join([*pieces, text[end:]]).encode()))
    return found


def told(one: Renewed) -> list[str]:
    """Which blocks of a text are stale, a line for each."""
    return [f"{one.path}:{block.line}: the block {block.name!r} is not what the records give" for block in one.stale]


def blocks(path: Path, text: str) -> Iterator[Block]:
    """The blocks of a text; markers in fenced code are code. Raises UsageError for a marker without its other one."""
    name, begun, start, place, fence = "", 0, 0, 0, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        bare, opened = line.strip(), _FENCE.match(line)
        if opened and not name:
            fence = "" if fence and bare.startswith(fence) else fence or opened[1]
        elif match := None if fence else _BEGIN.fullmatch(bare):
            if name:
                raise UsageError(f"{path}:{number}: the block {name!r} of line {begun} is not closed before this one")
            name, begun, start = match["name"], number, place + len(line)
        elif bare == _END and not fence:
            if not name:
                raise UsageError(f"{path}:{number}: {_END} closes no block")
            yield Block(name, begun, start, place)
            name = ""
        place += len(line)
    if name:
        raise UsageError(f"{path}:{begun}: the block {name!r} is not closed by {_END}")


def renderer(records: Sequence[Record], quotes: Quotes, words: Words, templates: Templates) -> Callable[[str], str]:
    """What gives a block's text by its name, and by the second word where there is one.

    It raises UsageError for an unknown name, and MuseError where a template names an unknown claim.
    """
    environment = Environment(  # noqa: S701  the templates are Markdown of our own, and figures mean nothing to it
        loader=FileSystemLoader([folder / "blocks" for folder in templates]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def figure(address: str, unit: str | None = None) -> str:
        if address not in quotes.claims:
            raise MuseError(f"no claim {address!r}")
        return quotes.figure(address, words, unit)

    def render(words: str) -> str:
        name, _, of = words.partition(" ")
        known = sorted(file.stem for folder in templates for file in (folder / "blocks").glob("*.md"))
        if name not in known:
            raise UsageError(f"unknown block {name!r}, expected one of {', '.join(known)}")
        try:
            return environment.get_template(f"{name}.md").render(of=of)
        except (TemplateError, MuseError) as error:
            raise MuseError(f"template blocks/{name}.md: {str(error).splitlines()[0]}") from error

    def number(value: float, unit: str) -> str:
        return f"{figures.figure(value, unit, figures.significant(value, unit)).grouped} {figures.label(unit)}".strip()

    def timed(operator: str) -> list[Timing]:
        if operator and operator not in {claim.given.get("operator") for claim in quotes.claims.values()}:
            raise MuseError(f"no claim is about an operator {operator!r}")
        return timings(records, operator)

    environment.globals |= {"figure": figure, "number": number, "timings": timed}
    return render


def _texts(root: Path, without: Path) -> Iterator[Path]:
    """The Markdown files under `root` that hold a marker, in the order of their names."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and Path(folder, name) != without)
        for path in (Path(folder, name) for name in sorted(files) if name.endswith(".md")):
            if b"<!-- muse: " in path.read_bytes():
                yield path


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from None
