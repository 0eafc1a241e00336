"""The verdict on each claim by the best evidence that answers its question: a measurement before a prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from muse.claims.claim import Claim, Scope, Status
from muse.claims.verdict import judge
from muse.reporting.evidence import chosen
from muse.reporting.quotes import MEASURED, Quotes
from muse.store.record import Record


@dataclass(frozen=True)
class Decided:
    """What stands of a claim today."""

    status: Status
    scope: Scope | None
    """Of the evidence that decides; None where there is none."""
    recorded: bool
    """Whether it is only the recorded verdict, for want of any record."""
    stale: bool
    prediction: Status | None
    """What the prediction says, where it differs from the measurement that decides."""


class Verdicts:
    """The verdicts on the claims of today, by all the evidence there is."""

    def __init__(self, records: Sequence[Record], stale: Callable[[Record], bool], claims: Iterable[Claim]) -> None:
        self._claims = tuple(claims)
        self._quotes = Quotes(records, stale, self._claims)
        self._chosen = {record.claim.id: record for record in chosen(records)}
        self._stale = stale

    def of(self, claim: Claim) -> Decided:
        """The claim's own bound, held against the best evidence; without evidence, why there is none, else as recorded.

        A claim that only a GPU can measure is decided by the prediction until one has.
        """
        record = self._quotes.best(claim)
        if record is None or record.measurement is None:
            held = self._chosen.get(claim.id)
            status = held.verdict.status if held else claim.recorded
            return Decided(status, None, held is None, held is not None and self._stale(held), None)
        status, scope = _status(claim, record), record.measurement.scope
        guess = self._quotes.prediction(claim) if scope in MEASURED else None
        said = _status(claim, guess) if guess else status
        return Decided(
            status, scope, recorded=False, stale=self._stale(record), prediction=said if said != status else None
        )

    def beside(self, claim: Claim) -> list[Claim]:
        """The claims beside this one, without those that ask and expect the same as it or as one before."""
        seen, found = {_asked(claim)}, []
        for other in self._claims:
            if other.beside == claim.id.split("[")[0] and claim.case in (None, other.case):
                if _asked(other) not in seen:
                    found.append(other)
                seen.add(_asked(other))
        return found


def _asked(claim: Claim) -> tuple[str, str]:
    return claim.question(), claim.expect.model_dump_json()


def _status(claim: Claim, record: Record) -> Status:
    """By the record's own verdict, or, where it was taken for another claim, by this claim's bound."""
    if record.claim.id == claim.id or record.measurement is None:
        return record.verdict.status
    return judge(claim, record.measurement).status
