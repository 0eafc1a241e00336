"""A small paper of its own: its claims, its numbers.yaml and its text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from muse.claims.claim import Ledger
from muse.coverage import bindings, document, match
from muse.coverage.match import Coverage

PAPER = """\
# A paper

Two phases on 2025-11-29.

## Results

| model | peak |
|-------|------|
| A     | 5.81 GB |
| B     | 4.86 GB |

## Details

The peak of A is 5.81 GB, of B 4.86 GB.
"""
NUMBERS = """\
source: paper.md
declared:
  date: ["2025-11-29"]
sections:
  "Results":
    - 5.81 GB: peak[a]
    - 4.86 GB: peak[b]
  "Details":
    - 5.81 GB: peak[a]
    - 4.86 GB: "declared: said twice"
"""
CLAIMS = """\
section: Results
claims:
  peak:
    says: "It peaks."
    unit: GiB
    probe: arithmetic
    quantity: result
    protocol: documented
    given: {operation: sum}
    cases:
      a: {given: {operands: [5.81, 0]}, documented: 5.81, recorded: confirmed}
      b: {given: {operands: [5.86, 0]}, documented: 4.86, recorded: refuted, cause: "It is a whole more."}
"""


@pytest.fixture
def paper() -> tuple[str, str]:
    """The paper's text and its numbers.yaml."""
    return PAPER, NUMBERS


@pytest.fixture
def ledger(a_claim) -> Ledger:
    """The paper's two peaks."""
    peaks = {"a": "5.81", "b": "4.86"}
    return Ledger({}, tuple(a_claim(None, None, "GiB", id=f"paper/peak[{k}]", documented=n) for k, n in peaks.items()))


@pytest.fixture
def text(tmp_path) -> Callable[..., document.Document]:
    """Reads a text as a file of the given name."""

    def read(content: str, name: str = "paper.md") -> document.Document:
        (tmp_path / name).write_text(dedent(content), encoding="utf-8")
        return document.read(tmp_path / name)

    return read


@pytest.fixture
def listed(tmp_path, ledger) -> Callable[[str], bindings.Bindings]:
    """Loads a text as the paper's numbers.yaml."""

    def load(content: str) -> bindings.Bindings:
        file = tmp_path / "claims/paper/numbers.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return bindings.load(file, ledger)

    return load


@pytest.fixture
def covered(text, listed) -> Callable[..., Coverage]:
    """Covers a text, the paper's own by default, by the given numbers.yaml."""

    def cover(content: str = PAPER, numbers: str = NUMBERS) -> Coverage:
        return match.cover(text(content), listed(numbers))

    return cover


@pytest.fixture
def project(tmp_path, muse, monkeypatch) -> Path:
    """A folder with the paper and its claims, which the program takes for its own."""
    home = tmp_path / "claims/paper"
    home.mkdir(parents=True)
    (home / "document.yaml").write_text("title: A paper\npublished: 2025-11-29\nhardware: one card\n")
    (home / "results.yaml").write_text(CLAIMS)
    (home / "numbers.yaml").write_text(NUMBERS)
    (tmp_path / "paper.md").write_text(PAPER)
    (tmp_path / "results").mkdir()
    monkeypatch.setenv("MUSE_CLAIMS", str(tmp_path / "claims"))
    monkeypatch.setenv("MUSE_REPORTS", str(tmp_path / "reports"))
    return tmp_path
