"""How long each operator takes, as records tell it: ours beside the definition, the peers and the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from muse.reporting.evidence import chosen
from muse.store.record import Record


@dataclass
class Timing:
    """One pass of an operator at one size."""

    operator: str
    case: str
    dtype: str
    passes: str
    """`forward` or `both`."""
    records: list[Record] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Our time, as its first record has it."""
        return _seconds(self.records[0])["mine"]

    @property
    def floors(self) -> float:
        """Our time, as a multiple of the floor's of the same rounds."""
        told = _seconds(self.records[0])
        return told["mine"] / told["floor"]

    @property
    def rivals(self) -> dict[str, float]:
        """The others' times, as multiples of the floor's of the same rounds."""
        found = {}
        for record in self.records:
            told = _seconds(record)
            if "rival" in told:
                found[str(record.claim.given["against"])] = told["rival"] / told["floor"]
        return found


def timings(records: Sequence[Record], operator: str | None = None) -> list[Timing]:
    """Every pass that was timed beside its floor, of one operator or of all, in the order of the claims."""
    found: dict[tuple[str, ...], Timing] = {}
    for record in chosen(records):
        given = record.claim.given
        if record.claim.probe != "operator" or "floor" not in _seconds(record):
            continue
        if operator in (None, given["operator"]):
            key = given["operator"], given["case"], given.get("dtype", "bfloat16"), given.get("passes", "forward")
            found.setdefault(key, Timing(*key)).records.append(record)
    return list(found.values())


def _seconds(record: Record) -> Mapping[str, float]:
    told = record.measurement.how.get("seconds") if record.measurement else None
    return told if isinstance(told, Mapping) else {}
