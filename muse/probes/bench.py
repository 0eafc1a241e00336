"""The workbench a probe measures on: settings, a driver of rounds, and readings shared within a run."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muse.config import Settings
from muse.errors import Unmeasured

Rounds = Callable[[Callable[[], None], int], None]
"""Calls a function a number of times, as pytest-benchmark or as a plain loop."""
Say = Callable[[str], None]
"""Tells people what is being done."""


def plain_rounds(function: Callable[[], None], count: int) -> None:
    """Call `function` `count` times."""
    for _ in range(count):
        function()


def silent(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Bench:
    """Everything of this machine and this run that a probe may use."""

    settings: Settings
    readings: Path
    """A folder of the run, where one measurement serves every claim and every worker that asks for it."""
    rounds: Rounds = field(default=plain_rounds)
    say: Say = field(default=silent)

    def reading(self, question: dict[str, Any], answer: Callable[[], Any]) -> Any:
        """`answer()` as plain data, measured once per run for each `question`.

        An answer that could not be measured is remembered as well: it raises the same Unmeasured again.
        """
        name = hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[:20]
        self.readings.mkdir(parents=True, exist_ok=True)
        with (self.readings / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self.readings / f"{name}.json"
            if not file.exists():
                try:
                    found = {"question": question, "answer": answer()}
                except Unmeasured as error:
                    found = {"question": question, "unmeasured": [error.reason, error.detail]}
                unfinished = file.with_suffix(".part")
                unfinished.write_text(json.dumps(found, default=str))
                unfinished.rename(file)
            found = json.loads(file.read_text())
        if "unmeasured" in found:
            raise Unmeasured(*found["unmeasured"])
        return found["answer"]
