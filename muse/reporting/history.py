"""What changed between two sets of records: verdicts, figures, and which claims there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import groupby
from typing import Any

from muse.claims.claim import Status
from muse.reporting import figures
from muse.reporting.escape import markdown as safe
from muse.reporting.escape import markdown_code as code
from muse.reporting.evidence import chosen
from muse.store.record import Record
from muse.units import printed


class Kind(StrEnum):
    """How a claim's evidence changed, the gravest first. A verdict changes only between two measurements."""

    VERDICT = "verdict changed"
    FIGURE = "figure changed"
    MEASURED = "measured now"
    UNMEASURED = "not measured now"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True)
class Change:
    """One claim's evidence before and after; None where there is none."""

    kind: Kind
    before: Record | None
    after: Record | None

    @property
    def id(self) -> str:
        """The claim's address."""
        return next(record.claim.id for record in (self.after, self.before) if record)

    @property
    def relative(self) -> float | None:
        """The measured value's change as a share of what it was; None where there is no such share."""
        taken = [record.measurement for record in (self.before, self.after) if record and record.measurement]
        if len(taken) < 2 or taken[0].value == 0:
            return None
        before, after = (Fraction(one.value) for one in taken)
        return float((after - before) / abs(before))

    @property
    def share(self) -> str:
        """The same in per cent, signed; empty where there is none."""
        return "" if self.relative is None else f"{self.relative:+.2%}".replace("%", " %")

    def facts(self) -> dict[str, Any]:
        """The change for programs."""
        sides = {"before": self.before, "after": self.after}
        return {
            "claim": self.id,
            "change": self.kind.value,
            **{name: record and _facts(record) for name, record in sides.items()},
            "relative": self.relative,
        }


def _facts(record: Record) -> dict[str, Any]:
    value = None if record.measurement is None else float(record.measurement.value)
    return {
        "record": record.id,
        "verdict": record.verdict.status.value,
        "reason": record.verdict.reason,
        "value": value,
    }


def compare(old: Sequence[Record], new: Sequence[Record]) -> list[Change]:
    """Every claim whose evidence changed from `old` to `new`, of which a report would show one record each.

    A figure changes when it is printed differently, with four significant digits.
    """
    before, after = ({record.claim.id: record for record in chosen(records)} for records in (old, new))
    pairs = [(before.get(address), after.get(address)) for address in {**after, **before}]
    changes = [Change(kind, *pair) for pair in pairs if (kind := _kind(*pair))]
    return sorted(changes, key=lambda change: list(Kind).index(change.kind))


def _kind(before: Record | None, after: Record | None) -> Kind | None:
    if before is None or after is None:
        return Kind.NEW if before is None else Kind.GONE
    if before.verdict.status is not after.verdict.status:
        lost = {before.verdict.status: Kind.MEASURED, after.verdict.status: Kind.UNMEASURED}
        return lost.get(Status.UNMEASURED, Kind.VERDICT)
    return None if _figure(before) == _figure(after) else Kind.FIGURE


def _figure(record: Record) -> str:
    if record.measurement is None:
        return ""
    return (
        f"{printed(Fraction(record.measurement.value), record.claim.unit)} {figures.label(record.claim.unit)}".strip()
    )


def _told(record: Record | None) -> str:
    """The verdict with its figure, or with the reason why there is none."""
    if record is None:
        return ""
    return f"{record.verdict.status}, {_figure(record) or record.verdict.reason.replace('_', ' ')}"


def text(changes: Sequence[Change]) -> Iterator[str]:
    """The changes for a terminal, line by line."""
    for kind, group in groupby(changes, key=lambda change: change.kind):
        members = list(group)
        yield f"{kind}: {len(members)}"
        for change in members:
            sides = " -> ".join(told for told in (_told(change.before), _told(change.after)) if told)
            yield f"  {change.id}: {sides} {change.share}".rstrip()
    if not changes:
        yield "no verdict and no figure changed"


def markdown(changes: Sequence[Change]) -> Iterator[str]:
    """The same as tables of Markdown, line by line; what changed no verdict is folded."""
    for kind, group in groupby(changes, key=lambda change: change.kind):
        members = list(group)
        folded = kind is not Kind.VERDICT
        head = f"<details><summary>{kind}: {len(members)}</summary>" if folded else f"**{kind}**: {len(members)}"
        yield from ("", head, "", "| claim | before | after | change |", "|---|---|---|---:|")
        for change in members:
            sides = f"{safe(_told(change.before))} | {safe(_told(change.after))}"
            yield f"| {code(change.id)} | {sides} | {change.share} |"
        if folded:
            yield from ("", "</details>")
    if not changes:
        yield from ("", "No verdict and no figure changed.")
