"""The story, in the order it happens: claim, probe, measurement, verdict, record.

A claim is read from the ledger, its probe measures, `judge` compares the measurement with the bound,
and the verdict is appended to the run as a record with its provenance. Reports are rendered from records.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

from muse import machine, probes
from muse.claims.claim import Claim, Ledger, Status
from muse.claims.ledger import load_ledger
from muse.claims.measurement import Measurement
from muse.claims.verdict import Verdict, judge
from muse.config import Settings
from muse.errors import ClaimInconclusive, ClaimRefuted, Unmeasured, UsageError, VerdictChanged
from muse.models import OWN, PRESETS, Subjects
from muse.probes.bench import Bench, Rounds, plain_rounds
from muse.probes.given import HOMES
from muse.store import files
from muse.store.provenance import provenance, source_fingerprint
from muse.store.record import Record
from muse.units import printed

NOT_HERE = ("no_gpu", "no_probe", "timed_under_xdist")
"""Reasons that say this machine or this way of running was never going to measure the claim."""


@dataclass(frozen=True)
class Run:
    """One run on one machine: a folder with its records and shared readings."""

    settings: Settings
    folder: Path

    @classmethod
    def start(cls, settings: Settings) -> Run:
        """A new run in a folder of its own."""
        return cls(settings, files.new_run(settings.path("runs"), machine.slug(), provenance(settings)["commit"]))

    @property
    def records(self) -> Path:
        """Where the records are appended."""
        return self.folder / files.RECORDS


def register(settings: Settings) -> None:
    """Let the project name its own networks, which are looked for from its folder on.

    Raises UsageError where the module of `[tool.muse] subjects` cannot do so.
    """
    if not settings.subjects:
        return
    if str(settings.root) not in sys.path:
        sys.path.insert(0, str(settings.root))
    try:
        module = import_module(settings.subjects)
    except ImportError as error:
        raise UsageError(f"[tool.muse] subjects: {settings.subjects!r} does not import: {error}") from None
    if not hasattr(module, "register"):
        raise UsageError(f"[tool.muse] subjects: {settings.subjects!r} has no function register(subjects)")
    module.register(Subjects())


def open_ledger(settings: Settings) -> Ledger:
    """Every claim. Raises LedgerError with all faults of all files."""
    folder = settings.path("claims")
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; run inside the project, or set MUSE_CLAIMS to the claims' folder")
    register(settings)
    return load_ledger(folder, probes.PROBES)


def select(ledger: Ledger, text: str | None) -> tuple[Claim, ...]:
    """The claims whose address contains `text`; all without one. Raises UsageError when there is none."""
    found = tuple(claim for claim in ledger.claims if text is None or text in claim.id)
    if not found:
        parts = {part for claim in ledger.claims for part in (claim.id, claim.id.split("[")[0], claim.name)}
        near = get_close_matches(str(text), sorted(parts), n=3)
        raise UsageError(f"no claim's address contains {text!r}" + (f"; near are {', '.join(near)}" if near else ""))
    return found


def verify(claim: Claim, run: Run, rounds: Rounds = plain_rounds, *, crowded: bool = False) -> Record:
    """Measure and judge one claim, and append the record to the run."""
    measurement: Measurement | None = None
    try:
        possible(claim, crowded=crowded)
        measurement = probes.measure(claim, Bench(run.settings, run.folder / "readings", rounds))
        verdict = judge(claim, measurement)
    except Unmeasured as error:
        verdict = Verdict(Status.UNMEASURED, error.reason, error.detail)
    record = Record(
        id=uuid.uuid4().hex[:12],
        run=run.folder.name,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        claim=claim,
        verdict=verdict,
        measurement=measurement,
        fingerprint=fingerprint(claim),
        provenance=provenance(run.settings),
    )
    files.append(run.records, record)
    return record


def held(settings: Settings, *, committed: bool = False) -> dict[tuple[str, str], Record]:
    """What this clone has measured in this place, the newest by claim and fingerprint, as `reuse` looks it up.

    Others may have measured here, too: their evidence counts where it is asked for (`committed`).
    A place is a machine with its GPU, driver, PyTorch, Triton and the variables that can move a measurement.
    An unmeasured record holds nothing.
    Raises StoreError for an unreadable row.
    """
    slug, here = machine.slug(), _place(provenance(settings))
    own = settings.path("runs").glob(f"*_{slug}_*/{files.RECORDS}")
    theirs = (settings.path("results") / slug).glob("*.jsonl") if committed else ()
    records = [record for file in (*theirs, *own) for record in files.read(file)]
    return {
        (record.claim.id, record.fingerprint): record
        for record in sorted(records, key=lambda record: record.time)
        if record.verdict.status is not Status.UNMEASURED and _place(record.provenance) == here
    }


def _place(source: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of a provenance. Which of several equal GPUs it was does not matter."""
    gpu, packages = source.get("gpu") or {}, source.get("packages") or {}
    environment = {**source.get("environment", {}), "CUDA_VISIBLE_DEVICES": None}
    return (
        source.get("machine"),
        gpu.get("name"),
        gpu.get("driver"),
        packages.get("torch"),
        packages.get("triton"),
        environment,
    )


def reuse(claim: Claim, known: Mapping[tuple[str, str], Record]) -> Record | None:
    """The record that still decides the claim, with the claim as it is told today; None where it is to be measured."""
    record = known.get((claim.id, fingerprint(claim)))
    return record and replace(record, claim=claim)


def possible(claim: Claim, *, crowded: bool = False) -> None:
    """Raise Unmeasured when this machine, or this way of running, cannot measure the claim."""
    if claim.probe is None:
        raise Unmeasured("no_probe", claim.cause or "nothing can decide it")
    if "gpu" in claim.needs and not machine.gpus():
        raise Unmeasured("no_gpu", "no NVIDIA GPU is visible to its driver")
    if probes.PROBES[claim.probe].timed and crowded:
        raise Unmeasured("timed_under_xdist", "a timing needs its GPU to itself; run it with no more workers than GPUs")


def enforce(record: Record) -> None:
    """Raise what a test runner must see: anything but a confirmed claim, or one recorded as unmeasured."""
    claim, verdict = record.claim, record.verdict
    match verdict.status:
        case Status.REFUTED:
            raise ClaimRefuted(told(record))
        case Status.INCONCLUSIVE:
            raise ClaimInconclusive(told(record))
        case Status.CONFIRMED if claim.recorded is Status.UNMEASURED:
            raise VerdictChanged(f"{told(record)}; it is recorded as unmeasured")


def told(record: Record) -> str:
    """The verdict in one line."""
    claim, taken = record.claim, record.measurement
    value = "" if taken is None else f", {printed(Fraction(taken.value), claim.unit)} {claim.unit}"
    return f"{claim.id}: {record.verdict.status}, {record.verdict.reason}{value}: {claim.says}"


def explained(record: Record) -> str:
    """The verdict in lines that a test's failure shows: what is said and allowed, what was found, and where more is."""
    claim, verdict, taken = record.claim, record.verdict, record.measurement
    bounds = [printed(bound, claim.unit) for bound in claim.bounds() if bound is not None]
    allowed = " to ".join(bounds) if len(bounds) == 2 else f"{claim.expect.kind.replace('_', ' ')} {bounds[0]}"
    found = "nothing" if taken is None else f"{figure(taken, claim.unit)}, {taken.scope}"
    lines = [
        f"{claim.id}: {verdict.status}, recorded as {claim.recorded}",
        f"  says     {claim.says}",
        f"  allowed  {allowed} {claim.unit}",
        f"  found    {found}: {verdict.reason} {verdict.detail}".rstrip(),
        f"  record   {record.id} of {record.run}",
    ]
    return "\n".join(lines)


def figure(taken: Measurement, unit: str) -> str:
    """A measurement in a unit; with its interval, where it has one."""
    value, low, high = (printed(Fraction(x), unit) for x in (taken.value, taken.low, taken.high))
    return f"{value} {unit}" + (f", between {low} and {high}" if low != high else "")


def changed(record: Record) -> bool:
    """Whether the verdict differs from the recorded one; unmeasured differs from nothing."""
    return record.verdict.status not in (Status.UNMEASURED, record.claim.recorded)


def exit_code(records: Iterable[Record]) -> int:
    """0 as recorded, 1 a verdict changed, 3 something this machine should have measured could not be."""
    records = list(records)
    if any(changed(record) for record in records):
        return 1
    failed = (r for r in records if r.verdict.status is Status.UNMEASURED and r.verdict.reason not in NOT_HERE)
    return 3 if any(failed) else 0


def fingerprint(claim: Claim) -> str:
    """A hash of the claim's bound and of the source of its probe and its subjects."""
    packages = frozenset(PRESETS[name].split(".")[0] for name in OWN)
    text = f"{claim.fingerprint()} {source_fingerprint(tuple(sorted(modules_of(claim))), packages)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def modules_of(claim: Claim) -> set[str]:
    """The modules of the claim's probe, and of the models or the operator that it is about."""
    subjects = [claim.given.get("model"), claim.given.get("against"), *claim.given.get("sequence", [])]
    named = [one["model"] if isinstance(one, dict) else one for one in subjects]
    modules = {PRESETS[name] for name in named if name in PRESETS}
    if claim.probe:
        modules.add(probes.PROBES[claim.probe].module)
    if operator := claim.given.get("operator"):
        home = HOMES.get(operator, operator)
        modules |= {f"kernels.{home}{part}" for part in ("", ".reference", ".cases")}
    return modules


def in_order(records: Iterable[Record], ledger: Ledger) -> list[Record]:
    """As the ledger states the claims, whatever the order in which workers came to them; claims that are gone last.

    Where a record's evidence still holds, its claim is told in today's words.
    """
    place = {claim.id: number for number, claim in enumerate(ledger.claims)}
    current = {claim.id: (claim, fingerprint(claim)) for claim in ledger.claims}

    def today(record: Record) -> Record:
        claim, holds = current.get(record.claim.id, (record.claim, None))
        return replace(record, claim=claim) if holds == record.fingerprint else record

    return sorted(map(today, records), key=lambda record: place.get(record.claim.id, len(place)))


def stale(record: Record, ledger: Ledger) -> bool:
    """Whether the claim, its probe or its models have changed since, or the claim is gone.

    What `muse fit` claims, no document does; it stands for itself.
    """
    own = record.claim if record.claim.document == probes.FIT else None
    current = {claim.id: claim for claim in ledger.claims}.get(record.claim.id, own)
    return current is None or fingerprint(current) != record.fingerprint
