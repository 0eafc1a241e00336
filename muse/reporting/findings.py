"""What a report opens with: sentences about a document, whose figures come from records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muse.claims.claim import cited
from muse.reporting.cell import Cell
from muse.reporting.quotes import Quotes
from muse.reporting.words import Words


@dataclass(frozen=True)
class Evidence:
    """A claim that a finding rests on."""

    name: str
    anchor: str
    status: str


@dataclass(frozen=True)
class Finding:
    """What was found of a document, in one sentence."""

    says: str
    evidence: tuple[Evidence, ...]


def finding(text: str, document: str, quotes: Quotes, cells: Mapping[str, Cell], words: Words) -> Finding:
    """A sentence with its figures filled in, and the claims that they come from."""
    named = dict.fromkeys(one.address(document) for one in cited(text))
    known = [cells[address] for address in named if address in cells]
    evidence = tuple(Evidence(cell.claim.id.partition("/")[2], cell.anchor, cell.status) for cell in known)
    return Finding(quotes.fill(words.say(text), document, words), evidence)
