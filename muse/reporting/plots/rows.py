"""What a picture is drawn from: the strongest evidence of each case, and where it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from muse.claims.claim import Claim
from muse.claims.measurement import Measurement, Real
from muse.reporting import evidence, figures
from muse.reporting.evidence import STRONGEST
from muse.store.record import Record
from muse.units import UNITS

Source = tuple[str, str]
"""A scope and the machine that the evidence was taken on."""


@dataclass(frozen=True)
class Row:
    """One case of a document's table with what was found; every value in the base of its unit."""

    claim: Claim
    reproduced: tuple[Record, ...]
    """The documented procedure's evidence, strongest first."""
    sound: tuple[Record, ...]

    @property
    def label(self) -> str:
        """What a reader calls the row."""
        return self.claim.case or self.claim.name

    @property
    def documented(self) -> Fraction | None:
        """The printed number."""
        return (
            None if self.claim.documented is None else Fraction(self.claim.documented) * UNITS[self.claim.unit].factor
        )

    @property
    def measured(self) -> Measurement | None:
        """The sound procedure's strongest measurement, else the documented procedure's."""
        return taken(self.sound) or taken(self.reproduced)

    @property
    def found(self) -> Real | None:
        """The value of `measured`."""
        return self.measured.value if self.measured else None

    @property
    def stated(self) -> str:
        """The number as the document printed it."""
        number = self.claim.documented
        return "—" if number is None else figures.stated(number, self.claim.unit).grouped

    def text(self, value: Real | None) -> str:
        """`value` in the row's unit, one place finer than documented."""
        if value is None:
            return "—"
        places = figures.places(value, self.claim.unit, self.claim.documented, None)
        return figures.figure(value, self.claim.unit, places).grouped


def taken(records: Sequence[Record]) -> Measurement | None:
    """The strongest measurement of `records`."""
    return records[0].measurement if records else None


def rows(records: Sequence[Record], address: str) -> tuple[Row, ...]:
    """One row per case of the claim `address`, with all evidence of the same quantity that belongs to its row."""
    shown = evidence.chosen(records)
    homes = evidence.row_homes([record.claim for record in shown])
    members: defaultdict[str, list[Record]] = defaultdict(list)
    for record in shown:
        members[homes[record.claim.id]].append(record)
    bases = [record.claim for record in shown if record.claim.id.split("[")[0] == address]
    return tuple(_row(base, members[base.id]) for base in bases if homes[base.id] == base.id)


def _row(base: Claim, members: Sequence[Record]) -> Row:
    alike = [r for r in members if (r.claim.quantity, r.claim.unit) == (base.quantity, base.unit)]
    return Row(base, *(strongest(r for r in alike if r.claim.protocol == side) for side in ("documented", "sound")))


def strongest(records: Iterable[Record]) -> tuple[Record, ...]:
    """The records that measured, strongest evidence first."""
    found = [record for record in records if record.measurement]
    return tuple(sorted(found, key=lambda r: STRONGEST.index(r.measurement.scope) if r.measurement else 0))


def sources(records: Iterable[Record]) -> tuple[Source, ...]:
    """Where `records` come from, once each, strongest first."""
    found = strongest(records)
    return tuple(dict.fromkeys((r.measurement.scope.value, _machine(r)) for r in found if r.measurement))


def _machine(record: Record) -> str:
    gpu = record.provenance.get("gpu") or {}
    return str(gpu.get("name") or record.provenance.get("machine") or "unknown")
