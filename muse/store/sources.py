"""Where records can be read from besides this checkout: a file, a folder, or a git revision."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from muse.config import Settings
from muse.errors import StoreError, UsageError
from muse.store.files import read, read_all
from muse.store.record import Record


def records_of(source: str, settings: Settings) -> list[Record]:
    """The records of `source`: a file, a folder with files of records, or a git revision's committed results.

    Raises UsageError when it is none of these or holds no record, StoreError for an unreadable row.
    """
    path = Path(source)
    if path.is_file():
        found = read(path)
    elif path.is_dir():
        found = read_all(path)
    else:
        found = _committed_at(source, settings)
    if not found:
        raise UsageError(f"{source}: there are no records in it")
    return found


def _committed_at(revision: str, settings: Settings) -> list[Record]:
    tree = _git(settings, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}")
    if tree is None:
        raise UsageError(f"{revision}: no such file, folder or git revision")
    results = os.path.relpath(settings.path("results"), settings.root)
    archive = _git(settings, "archive", "--format=tar", tree.decode().strip(), "--", results)
    if archive is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        try:
            return read_all(Path(folder))
        except StoreError as error:
            raise StoreError(str(error).replace(f"{folder}/", f"{revision}:")) from None


def _git(settings: Settings, *command: str) -> bytes | None:
    """What git says; None where it does not."""
    words = ["git", "-C", str(settings.root), *command]
    try:
        return subprocess.run(words, capture_output=True, check=True).stdout  # noqa: S603  # our own words
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
