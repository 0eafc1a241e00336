"""Lay a document's numbers beside its bindings: each number is bound, declared or uncovered."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from muse.claims.claim import Claim
from muse.coverage.bindings import Binding, Bindings
from muse.coverage.document import Document
from muse.coverage.numbers import Number, numbers

LABEL = re.compile(
    r"(Phase|Figure|Fig\.|Table|Section|Sec\.|§|Chapter|Appendix|Equation|Eq\.|Algorithm|Listing|Theorem)[ ~\u00a0]?\Z"
)
"""What a number stands behind that names a thing: the 8 of "Phase 8" counts nothing."""


@dataclass(frozen=True)
class Place:
    """A number of a document and what it belongs to; to nothing where it is uncovered."""

    number: Number
    line: int
    section: str
    claim: Claim | None = None
    reason: str | None = None
    """Why it is no claim."""

    @property
    def covered(self) -> bool:
        """Whether it is bound or declared."""
        return self.claim is not None or self.reason is not None


@dataclass(frozen=True)
class Coverage:
    """A document with all its numbers, and the lines of its bindings that fit nothing in it."""

    document: Document
    bindings: Bindings
    places: tuple[Place, ...]
    unused: tuple[tuple[int, str], ...]

    @property
    def uncovered(self) -> tuple[Place, ...]:
        """The numbers that nobody has looked at."""
        return tuple(place for place in self.places if not place.covered)

    @property
    def complete(self) -> bool:
        """Whether every number is covered and every binding binds."""
        return not self.uncovered and not self.unused


def cover(document: Document, bindings: Bindings) -> Coverage:
    """Match by place: declared texts first, then each section's remaining numbers with its bindings, in order.

    What is left and stands behind a label is its name, unless names with this label are declared one by one.
    """
    reasons, unused = _declared(document, bindings)
    remaining: defaultdict[str, list[Number]] = defaultdict(list)
    for number in document.numbers:
        if number not in reasons:
            remaining[document.section(number)].append(number)
    bound: dict[Number, Binding] = {}
    names = _sections(list(remaining), list(bindings.sections))
    for heading, found in remaining.items():
        bound |= _aligned(found, bindings.sections.get(names.get(heading, ""), ()))
    used = set(map(id, bound.values()))
    for heading, listed in bindings.sections.items():
        unused += [(b.line, f"{b.printed} is not in the section {heading!r}") for b in listed if id(b) not in used]
    spelled = {_label(literal.text, number) for literal in bindings.literals for number in numbers(literal.text)}
    for number in document.numbers:
        label = _label(document.text, number)
        if label and label not in spelled and number not in bound and number not in reasons:
            reasons[number] = "label"
    places = tuple(_place(document, number, bound.get(number), reasons.get(number)) for number in document.numbers)
    return Coverage(document, bindings, places, tuple(sorted(unused)))


def _label(text: str, number: Number) -> str | None:
    """What the number names: a Phase, a Table; None where it is a quantity."""
    found = LABEL.search(text[max(number.start - 12, 0) : number.start])
    return found[1] if found and not number.suffix else None


def _place(document: Document, number: Number, binding: Binding | None, reason: str | None) -> Place:
    where = number, document.line(number), document.section(number)
    return Place(*where, binding.claim, binding.reason) if binding else Place(*where, reason=reason)


def _declared(document: Document, bindings: Bindings) -> tuple[dict[Number, str], list[tuple[int, str]]]:
    """The numbers that stand wholly within a declared text, with its reason; and the texts that stand nowhere."""
    reasons: dict[Number, str] = {}
    unused = []
    for literal in bindings.literals:
        spans = list(_occurrences(literal.text, document.text))
        inside = [n for n in document.numbers if any(start <= n.start and n.end <= end for start, end in spans)]
        reasons |= {number: literal.reason for number in inside if number not in reasons}
        if not inside:
            unused.append((literal.line, f"declared {literal.text!r} is not in the document"))
    return reasons, unused


def _occurrences(part: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(part)
    while start >= 0:
        yield start, start + len(part)
        start = text.find(part, start + 1)


def _sections(headings: Sequence[str], listed: Sequence[str]) -> Mapping[str, str]:
    """For each heading the section that is listed for it; a heading with an altered digit still finds its own."""
    names = {heading: heading for heading in headings if heading in listed}
    for heading in headings:
        free = [name for name in listed if name not in names.values()]
        if heading not in names and (near := get_close_matches(heading, free, n=1, cutoff=0.8)):
            names[heading] = near[0]
    return names


def _aligned(found: Sequence[Number], listed: Sequence[Binding]) -> dict[Number, Binding]:
    """Each number with the binding at its place: one to one where there are as many, else in order as well as can be.

    With one altered digit there are still as many, so exactly that number stays unmatched.
    """
    printed, expected = [n.printed for n in found], [b.printed for b in listed]
    if len(found) == len(listed):
        return {n: b for n, b in zip(found, listed, strict=True) if n.printed == b.printed}
    blocks = SequenceMatcher(None, printed, expected, autojunk=False).get_matching_blocks()
    return {found[block.a + i]: listed[block.b + i] for block in blocks for i in range(block.size)}
