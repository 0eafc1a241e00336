"""A document as its numbers, each with its line and its innermost heading."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muse.coverage.numbers import Number, numbers
from muse.errors import UsageError

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_TEX_HEADING = re.compile(
    r"\s*\\(?:part|chapter|(?:sub){0,2}section|(?:sub)?paragraph)\*?(?:\[[^]]*\])?\{(?P<title>.*)\}.*"
)
_TEX_COMMENT = re.compile(r"(?<!\\)(?P<breaks>(?:\\\\)*)%.*")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})")
_DELIMITER = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_PIPE = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Document:
    """A text with its numbers and headings by position."""

    path: Path
    text: str
    numbers: tuple[Number, ...]
    headings: tuple[tuple[int, str], ...]
    """Where each heading begins, and its title; the second of a title is `title #2`. Before the first it is empty."""

    def line(self, number: Number) -> int:
        """The line of a number, from 1."""
        return self.text.count("\n", 0, number.start) + 1

    def quote(self, number: Number) -> str:
        """The line's text."""
        return self.text.split("\n")[self.line(number) - 1].strip()

    def section(self, number: Number) -> str:
        """The heading under which a number stands, or of which it is a part."""
        return self.headings[bisect_right(self.headings, number.start, key=lambda heading: heading[0]) - 1][1]


def read(path: Path) -> Document:
    """The document in a Markdown or LaTeX file. Raises UsageError when there is no such file or it is not UTF-8."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from None
    return parse(path, text)


def parse(path: Path, text: str) -> Document:
    """The document of a text; `path` says whether it is LaTeX, and where faults are.

    Raises UsageError at a table row whose cells are not as many as its header's.
    """
    if path.suffix.lower() == ".tex":
        text = _TEX_COMMENT.sub(lambda match: match["breaks"], text)
        lines, heading = list(_numbered(text)), _TEX_HEADING
    else:
        lines, heading = list(_outside_fences(text)), _HEADING
        _check_tables(path, lines)
    return Document(path, text, tuple(numbers(text)), tuple(_headings(lines, heading)))


_Line = tuple[int, int, str]
"""A line's number, the position where it begins, and its text."""


def _numbered(text: str) -> Iterator[_Line]:
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, start, line
        start += len(line) + 1


def _outside_fences(text: str) -> Iterator[_Line]:
    """The lines that are Markdown, not code."""
    fence = ""
    for number, start, line in _numbered(text):
        match = _FENCE.match(line)
        if fence:
            if match and match["fence"].startswith(fence) and line.strip() == match["fence"]:
                fence = ""
        elif match:
            fence = match["fence"]
        else:
            yield number, start, line


def _headings(lines: list[_Line], pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    seen: Counter[str] = Counter()
    yield 0, ""
    for _, start, line in lines:
        if match := pattern.fullmatch(line):
            title = match["title"]
            seen[title] += 1
            yield start, title if seen[title] == 1 else f"{title} #{seen[title]}"


def _check_tables(path: Path, lines: list[_Line]) -> None:
    """Every row has as many cells as its header, or UsageError says where not."""
    expected, above = 0, (0, "")
    for number, _, line in lines:
        cells = _cells(line)
        if not cells or above[0] != number - 1:
            expected = 0
        elif not expected and _DELIMITER.fullmatch(line):
            expected = _cells(above[1])
        if expected and cells != expected:
            raise UsageError(f"{path}:{number}: broken table: {cells} cells in this row, its header has {expected}")
        above = number, line


def _cells(line: str) -> int:
    """How many cells a row has; 0 for a line without a pipe."""
    if not _PIPE.search(line):
        return 0
    inner = line.strip().removeprefix("|")
    return len(_PIPE.findall(re.sub(r"(?<!\\)\|$", "", inner))) + 1
