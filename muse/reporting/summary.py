"""A page for a job, with all that is not confirmed, or for a pull request, with what it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from muse.claims.claim import Status
from muse.reporting import history
from muse.reporting.escape import markdown as safe
from muse.reporting.escape import markdown_code as code
from muse.reporting.evidence import chosen
from muse.reporting.history import Change, Kind
from muse.reporting.quotes import Quotes
from muse.reporting.words import load
from muse.store.record import Record

MARKER = "<!-- muse -->"
"""The hidden first line by which a comment is found again, to be edited in place."""
LIMIT = 1_000_000
"""Bytes; GitHub drops a job summary of more than 1 MiB whole."""


def summary(
    records: Sequence[Record], stale: Callable[[Record], bool], base: str | None, changes: Sequence[Change]
) -> str:
    """The page in Markdown, of at most `LIMIT` bytes: what is not confirmed, since a base what it adds to that.

    Parameters
    ----------
    records : any number per claim, of which one is shown as in a report
    stale : whether the source behind a record has changed since
    base : what the changes are since; None where nothing was compared
    changes : since `base`
    """
    shown = chosen(records)
    lines = [MARKER, "## Claims", "", *_table(shown, stale)]
    if base is not None:
        lines += ["", f"## Changed since {safe(base)}", *history.markdown(changes)]
        shown = [change.after for change in changes if change.after and change.kind is not Kind.FIGURE]
    return capped([*lines, "", "## Not confirmed", "", *_unconfirmed(shown, Quotes(records, stale))])


def _table(records: Sequence[Record], stale: Callable[[Record], bool]) -> Iterator[str]:
    """Verdicts per document, and of all."""
    yield f"| document | claims | {' | '.join(Status)} | stale |"
    yield "|---|" + "---:|" * (len(Status) + 2)
    for name in (*sorted({record.claim.document for record in records}), "all"):
        mine = [record for record in records if name in (record.claim.document, "all")]
        count = Counter(record.verdict.status for record in mine)
        figures = (len(mine), *(count[status] for status in Status), sum(map(stale, mine)))
        yield f"| {safe(name)} | {' | '.join(map(str, figures))} |"


def _unconfirmed(records: Sequence[Record], quotes: Quotes) -> Iterator[str]:
    """Every refuted or inconclusive claim with its sentence and its cause."""
    told = [record for record in records if record.verdict.status in (Status.REFUTED, Status.INCONCLUSIVE)]
    words = load()
    for record in told:
        cause = quotes.fill(record.claim.cause or "No cause is recorded.", record.claim.document, words)
        yield f"- {code(record.claim.id)}: {record.verdict.status}. {safe(record.claim.says)} *{safe(cause)}*"
    if not told:
        yield "Nothing of this is refuted or inconclusive."


def capped(lines: Sequence[str], limit: int = LIMIT) -> str:
    """The lines as one text of at most `limit` bytes; where some are left out, the last line says how many."""
    whole = "".join(f"{line}\n" for line in lines)
    if len(whole.encode()) <= limit:
        return whole
    room, kept = limit - 200, 0
    while (room := room - len(lines[kept].encode()) - 1) >= 0:
        kept += 1
    left = f"*Left out: the last {len(lines) - kept} of {len(lines)} lines; a page has at most {limit:,} bytes.*"
    return "".join(f"{line}\n" for line in (*lines[:kept], "", left))
