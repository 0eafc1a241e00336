"""One record as the report shows it: value, interval, bound, margin, and where it was taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from muse.claims.claim import Claim, Status
from muse.claims.measurement import Measurement
from muse.reporting import evidence, figures
from muse.reporting.figures import Figure
from muse.reporting.quotes import Quotes
from muse.reporting.words import Words
from muse.store.record import Record
from muse.units import UNITS

COMMIT_DIGITS = 10
COMMAND = "muse verify '{id}'"
"""What repeats a measurement."""


@dataclass(frozen=True)
class Cell:
    """The evidence for one claim, finished for reading."""

    claim: Claim = field(repr=False)
    anchor: str
    says: str
    """The sentence in the report's language."""
    status: str
    """A code; `reason` and what else is prose is in the report's language."""
    reason: str
    detail: str
    cause: str | None
    """Given where the verdict is not confirmed."""
    stale: bool
    value: Figure | None
    """None where the claim is unmeasured."""
    low: Figure | None
    """None where the measurement is its own interval."""
    high: Figure | None
    unit: str
    tex_unit: str
    other_unit: str
    """The unit, where it is not the row's."""
    scope: str
    samples: int
    how: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    bound: str
    margin: str
    machine: str
    gpu: str
    driver: str
    torch: str
    environment: tuple[tuple[str, str], ...]
    """Python, system, packages, and the variables that can move a measurement."""
    commit: str
    date: str
    time: str
    record: str
    command: str

    @property
    def id(self) -> str:
        """The claim's id."""
        return self.claim.id

    @property
    def optimizer(self) -> str:
        """Of a training step; `none` where it has no update, nothing where nothing is trained."""
        return str(self.claim.given.get("optimizer", "adamw")) if self.claim.given.get("train") else ""

    @property
    def protocol(self) -> str:
        """How it was measured."""
        return self.claim.protocol


def cell(  # noqa: PLR0913  one record and what it is told with
    record: Record, base: Claim, anchor: str, words: Words, quotes: Quotes, *, stale: bool
) -> Cell:
    """The cell of `record` in the row of the claim `base`; `quotes` fills in the figures that its cause names."""
    claim, verdict = record.claim, record.verdict
    confirmed = verdict.status is Status.CONFIRMED
    return Cell(
        claim=claim,
        anchor=anchor,
        says=words.say(claim.says),
        status=verdict.status.value,
        reason=words.reason(verdict.reason),
        detail="" if verdict.detail == claim.cause else verdict.detail,
        cause=None if confirmed or not claim.cause else quotes.fill(words.say(claim.cause), claim.document, words),
        stale=stale,
        unit=figures.label(claim.unit),
        tex_unit=UNITS[claim.unit].tex,
        other_unit="" if claim.unit == base.unit else figures.label(claim.unit),
        given=figures.pairs(claim.given),
        bound=figures.bound(claim, words),
        margin="" if verdict.margin is None else figures.margin(verdict.margin, claim, words),
        record=record.id,
        command=COMMAND.format(id=claim.id),
        **_values(record, base),
        **_origin(record, words),
    )


def _values(record: Record, base: Claim) -> dict[str, Any]:
    """Value, interval, scope and method; nothing where nothing was measured."""
    taken: Measurement | None = record.measurement
    if taken is None or record.verdict.status is Status.UNMEASURED:
        return {"value": None, "low": None, "high": None, "scope": "", "samples": 0, "how": ()}
    claim = record.claim
    documented = claim.documented if claim.documented is not None or claim.unit != base.unit else base.documented
    miss = record.verdict.margin if record.verdict.status is Status.REFUTED else None
    places = figures.places(taken.value, claim.unit, documented, miss)
    value, low, high = (figures.figure(side, claim.unit, places) for side in (taken.value, taken.low, taken.high))
    interval = {value.plain, low.plain, high.plain} != {value.plain}
    return {
        "value": value,
        "low": low if interval else None,
        "high": high if interval else None,
        "scope": taken.scope.value,
        "samples": len(taken.samples),
        "how": figures.pairs(taken.how),
    }


def _origin(record: Record, words: Words) -> dict[str, Any]:
    """Machine, versions, commit and date."""
    known = record.provenance
    gpu = known.get("gpu") or {}
    packages = dict(known.get("packages") or {})
    variables = known.get("environment") or {}
    system = {key: known[key] for key in ("python", "system") if key in known}
    commit = (known.get("commit") or "unknown")[:COMMIT_DIGITS]
    when = evidence.when(record)
    return {
        "machine": str(known.get("machine") or "unknown"),
        "gpu": str(gpu.get("name") or "none"),
        "driver": str(gpu.get("driver") or "none"),
        "torch": str(packages.pop("torch", None) or "none"),
        "environment": figures.pairs(system) + figures.pairs(packages) + tuple(sorted(variables.items())),
        "commit": words.text("uncommitted", commit=commit) if known.get("dirty") else commit,
        "date": f"{when:%Y-%m-%d}",
        "time": f"{when:%Y-%m-%d %H:%M %Z}",
    }
