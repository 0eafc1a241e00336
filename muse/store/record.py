"""A record: one verdict with its claim, its measurement and its provenance, as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from muse.claims.claim import Claim, Scope, Status
from muse.claims.measurement import Measurement
from muse.claims.verdict import Verdict

SCHEMA = 1
"""The version of a record's form."""


@dataclass(frozen=True)
class Record:
    """What was decided, by what, where and when. It stands alone: reports need nothing else."""

    id: str
    run: str
    time: str
    claim: Claim
    verdict: Verdict
    measurement: Measurement | None
    """None when the claim is unmeasured."""
    fingerprint: str
    """Of the claim's bound and the source of its probe and models; another one makes this record stale."""
    provenance: Mapping[str, Any]

    def to_json(self) -> str:
        """One line."""
        data = {"schema": SCHEMA, **{name: getattr(self, name) for name in ("id", "run", "time", "fingerprint")}}
        data["claim"] = self.claim.model_dump(mode="json", exclude_defaults=True)
        data["verdict"] = asdict(self.verdict)
        data["measurement"] = self.measurement and _plain(asdict(self.measurement))
        data["provenance"] = dict(self.provenance)
        return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record of one line. Raises ValueError, KeyError or TypeError when it is not one."""
        data = json.loads(text)
        if data.pop("schema") != SCHEMA:
            raise ValueError(f"not a record of schema {SCHEMA}")
        verdict = Verdict(**{**data["verdict"], "status": Status(data["verdict"]["status"])})
        taken = data["measurement"]
        if taken is not None:
            taken = Measurement(**{**taken, "scope": Scope(taken["scope"]), "samples": tuple(taken["samples"])})
        claim = Claim.model_validate(data["claim"])
        return cls(**{**data, "claim": claim, "verdict": verdict, "measurement": taken})


def _plain(value: Any) -> Any:
    """`value` with exact fractions as the nearest number JSON can hold."""
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
