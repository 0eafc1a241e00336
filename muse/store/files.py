"""Append-only JSON lines: a row is complete or absent, and an unreadable row stops the reader with its line."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from muse.errors import StoreError, UsageError
from muse.store.record import Record

RECORDS = "records.jsonl"
TUNED = "tuned"
"""What Triton tuned, in a run and beside a machine's committed records."""


def new_run(runs: Path, machine: str, commit: str | None) -> Path:
    """A fresh folder for one run on one machine, named by time, machine and commit."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    base = f"{stamp}_{machine}_{commit[:7] if commit else 'no-commit'}"
    for suffix in ("", *(f"_{n}" for n in range(2, 100))):
        try:
            (runs / (base + suffix)).mkdir(parents=True)
        except FileExistsError:
            continue
        return runs / (base + suffix)
    raise StoreError(f"{runs / base}: a hundred runs began in this second")


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    """The file, open for reading and appending by this process alone."""
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def append(file: Path, record: Record) -> None:
    """Add one row and wait until the disk has it. A row that a killed process left unfinished is cut off first."""
    row = (record.to_json() + "\n").encode()
    with _locked(file) as handle:
        _cut_unfinished(handle)
        written = 0
        while written < len(row):
            written += os.write(handle, row[written:])
        os.fsync(handle)


def _cut_unfinished(handle: int) -> None:
    """Drop what follows the last line end: the beginning of a row whose writer died."""
    size = os.fstat(handle).st_size
    if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
        return
    kept = os.pread(handle, size, 0).rfind(b"\n") + 1
    os.ftruncate(handle, kept)


def read(file: Path) -> list[Record]:
    """Every complete row of `file`, in order.

    An unfinished last row is absent. Raises StoreError, with the line, for any row that cannot be read.
    """
    records = []
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(Record.from_json(line.decode()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(f"{file}:{number}: unreadable row ({reason}), expected one record of JSON") from None
    return records


def read_all(folder: Path) -> list[Record]:
    """Every record under `folder`, file after file in the order of their names."""
    return [record for file in sorted(folder.rglob("*.jsonl")) for record in read(file)]


def known_runs(runs: Path) -> list[str]:
    """The names of all runs with records, the oldest first."""
    return sorted(path.parent.name for path in runs.glob(f"*/{RECORDS}"))


def find_run(runs: Path, name: str) -> Path:
    """The folder of the run `name`; `latest` is the newest. Raises UsageError when there is none."""
    known = known_runs(runs)
    if name == "latest" and known:
        return runs / known[-1]
    if name not in known:
        raise UsageError(f"no run {name!r} in {runs}; there are {', '.join(known[-5:]) or 'none yet'}")
    return runs / name


def promote(run: Path, results: Path) -> Path:
    """Move a run's records into the committed results, under its machine, with what it tuned; returns the new file.

    Raises StoreError when the run is empty, is unreadable, or is there already.
    """
    records = read(run / RECORDS) if (run / RECORDS).exists() else []
    if not records:
        raise StoreError(f"{run / RECORDS}: no complete record to promote")
    target = results / str(records[0].provenance["machine"]) / f"{run.name}.jsonl"
    if target.exists():
        raise StoreError(f"{target}: already there, and evidence is never overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    shutil.copyfile(run / RECORDS, unfinished)
    unfinished.rename(target)
    if (run / TUNED).is_dir():
        shutil.copytree(run / TUNED, target.parent / TUNED, dirs_exist_ok=True)
    (run / RECORDS).unlink()
    return target
