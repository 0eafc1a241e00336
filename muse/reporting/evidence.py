"""Which records a report shows: one per claim, in the order of the fullest run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from muse.claims.claim import Claim, Scope, Status
from muse.errors import StoreError
from muse.store.record import Record

STRONGEST = (Scope.MEASURED, Scope.EMULATED, Scope.EXACT, Scope.PREDICTED)
"""Which evidence is shown first."""

FITS = "fit"
"""The name under which `muse fit` keeps what it finds beside the documents."""


def strength(scope: str) -> int:
    """The place of a scope among the strongest; what has none is last."""
    return STRONGEST.index(Scope(scope)) if scope else len(STRONGEST)


def chosen(records: Sequence[Record]) -> list[Record]:
    """One record per claim: the newest that measured, else the newest. In the order of `claim_order`."""
    best: dict[str, Record] = {}
    for record in records:
        held = best.get(record.claim.id)
        if held is None or _rank(record) > _rank(held):
            best[record.claim.id] = record
    return [best[claim_id] for claim_id in claim_order(records)]


def _rank(record: Record) -> tuple[bool, datetime, str]:
    return record.verdict.status is not Status.UNMEASURED, when(record), record.id


def when(record: Record) -> datetime:
    """The time of a record; without an offset it is UTC. Raises StoreError when it is not a time."""
    try:
        time = datetime.fromisoformat(record.time)
    except ValueError:
        raise StoreError(f"record {record.id}: unreadable time {record.time!r}, expected ISO 8601") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def claim_order(records: Sequence[Record]) -> list[str]:
    """Every claim id once, as the runs list them: the run with most claims first.

    A run of three claims thus never moves them to the top, and the order of files does not matter.
    """
    runs: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        runs[record.run].setdefault(record.claim.id)
    fullest = sorted(runs, key=lambda run: (-len(runs[run]), run))
    return list(dict.fromkeys(claim_id for run in fullest for claim_id in runs[run]))


def row_homes(claims: Sequence[Claim]) -> dict[str, str]:
    """For each claim id, the id of the claim in whose row it is shown.

    A claim `beside` another goes to that claim's row of the same case; where there is none, it has its own.
    """
    known = {claim.id: claim for claim in claims}

    def home(claim: Claim) -> str:
        place, seen = claim, {claim.id}
        while base := known.get(_base(place) or ""):
            if base.id in seen:
                return claim.id
            place = base
            seen.add(base.id)
        return place.id

    return {claim.id: home(claim) for claim in claims}


def _base(claim: Claim) -> str | None:
    return f"{claim.beside}[{claim.case}]" if claim.beside and claim.case else claim.beside
