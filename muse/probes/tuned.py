"""What Triton has tuned is kept by card: some peers tune for minutes, and once is enough.

Triton keeps a tuning in its cache, under a hash of the kernel's source, Triton's own version, the card's architecture
and the configurations tried; so a tuning of another version is never taken for one of this.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from muse import machine
from muse.config import Settings
from muse.store.files import TUNED

TUNINGS = "*/*.autotune.json"


def recall(settings: Settings) -> float:
    """Let Triton find what was tuned on a card like this one, unless its own cache knows it; returns when this was."""
    now = time.time()
    folder = settings.path("results") / machine.slug() / TUNED
    _copy(folder, cache(), list(folder.glob(TUNINGS)))
    return now


def keep(run: Path, since: float) -> None:
    """Keep in `run` what was tuned or recalled since then: a user's cache also holds what is none of ours."""
    _copy(cache(), run / TUNED, _new(since))


def forget(since: float) -> None:
    """Let Triton tune anew what was tuned since then, for it was beside others; what was recalled can be again."""
    for file in _new(since):
        file.unlink(missing_ok=True)


def _new(since: float) -> list[Path]:
    return [file for file in cache().glob(TUNINGS) if file.stat().st_mtime >= since]


def cache() -> Path:
    """Triton's."""
    home = Path(os.environ.get("TRITON_HOME", Path.home()))
    return Path(os.environ.get("TRITON_CACHE_DIR", home / ".triton" / "cache"))


def _copy(source: Path, target: Path, files: list[Path]) -> None:
    for file in files:
        there = target / file.relative_to(source)
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, there)
