"""A claim's figure as a sentence quotes it: the best evidence that there is, and the word where it is a prediction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

from muse.claims.claim import Cited, Claim, Scope, Status, filled
from muse.claims.measurement import Real
from muse.reporting import figures
from muse.reporting.evidence import when
from muse.reporting.words import Words
from muse.store.record import Record
from muse.units import UNITS, decimals, printed

MEASURED = (Scope.MEASURED, Scope.EMULATED)
_RANK = {Scope.MEASURED: 3, Scope.EMULATED: 3, Scope.EXACT: 2, Scope.PREDICTED: 1}


class Quotes:
    """The evidence that answers each claim's question.

    A claim that is predicted and one that asks a GPU the same share their evidence, whichever of them is named.
    """

    def __init__(
        self, records: Sequence[Record], stale: Callable[[Record], bool], claims: Iterable[Claim] = ()
    ) -> None:
        """`claims` are those of today; without them the claims are as their newest records tell them."""
        in_time = sorted(records, key=lambda record: (when(record), record.id))
        self.claims = {record.claim.id: record.claim for record in in_time} | {claim.id: claim for claim in claims}
        self._stale = stale
        self._taken: defaultdict[str, list[Record]] = defaultdict(list)
        self._alike: defaultdict[str, list[str]] = defaultdict(list)
        for record in in_time:
            if record.measurement and record.verdict.status is not Status.UNMEASURED:
                self._taken[record.claim.id].append(record)
        for claim in self.claims.values():
            self._alike[claim.question()].append(claim.id)

    def best(self, claim: Claim) -> Record | None:
        """The record that answers: measured before exact before predicted; the newest not stale, else the newest."""
        taken = self._answers(claim)
        strongest = max((_rank(record) for record in taken), default=0)
        return self._newest([record for record in taken if _rank(record) == strongest])

    def prediction(self, claim: Claim) -> Record | None:
        """The record that predicts the answer."""
        return self._newest([record for record in self._answers(claim) if _rank(record) == _RANK[Scope.PREDICTED]])

    def _answers(self, claim: Claim) -> list[Record]:
        """Its own records, and those of the claims that put its question to the other probe of the pair."""
        others = (name for name in self._alike[claim.question()] if self.claims[name].probe != claim.probe)
        return [record for name in (claim.id, *others) for record in self._taken[name]]

    def _newest(self, records: Sequence[Record]) -> Record | None:
        in_time = sorted(records, key=lambda record: (when(record), record.id), reverse=True)
        return next((record for record in in_time if not self._stale(record)), in_time[0] if in_time else None)

    def figure(self, address: str, words: Words, unit: str | None = None) -> str:
        """The claim's figure with its unit, in words where it is only predicted or not measured yet."""
        claim = self.claims.get(address)
        record = None if claim is None else self.best(claim)
        if claim is None or record is None or record.measurement is None:
            return words.text("quote.unmeasured")
        text = figure(record.measurement.value, claim, unit or claim.unit)
        predicted = record.measurement.scope is Scope.PREDICTED
        return words.text("quote.predicted", figure=text) if predicted else text

    def fill(self, text: str, document: str, words: Words) -> str:
        """`text` with the claims that it names in braces replaced by their figures."""

        def quoted(one: Cited) -> str:
            return self.figure(one.address(document), words, one.unit)

        return filled(text, quoted)


def figure(value: Real, claim: Claim, unit: str) -> str:
    """`value` with as many decimals as the number that the claim states, else with three significant digits."""
    text = printed(value, unit, _places(value, claim, unit))
    return f"{figures.grouped(text)} {figures.label(unit)}".strip()


def _places(value: Real, claim: Claim, unit: str) -> int | None:
    number = _stated(claim) if unit == claim.unit else None
    scaled = Fraction(value) / UNITS[unit].factor
    if number is not None and (scaled == 0 or abs(scaled) >= Fraction(1, 2 * 10 ** decimals(number))):
        return decimals(number)
    if scaled == 0 or (unit in ("count", "B") and scaled.denominator == 1):
        return 0
    return figures.significant(value, unit)


def _stated(claim: Claim) -> Decimal | None:
    """The number that the document prints, else the one that our own claim corrects it by."""
    return next((n for n in (claim.documented, claim.expect.equals, claim.expect.attainable) if n is not None), None)


def _rank(record: Record) -> int:
    return _RANK[record.measurement.scope] if record.measurement else 0
