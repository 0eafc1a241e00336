"""What of a GPU decides how many bytes a computation allocates on it, for the cards of `cards.yaml` or of a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from muse import machine
from muse.errors import UsageError

KNOWN = Path(__file__).parent / "cards.yaml"
DEFAULT = "h100"
"""The card of a prediction that names none, on a machine without a GPU."""


@dataclass(frozen=True)
class Card:
    """One GPU model; sizes in bytes."""

    name: str
    capability: tuple[int, int]
    """Compute capability, such as (9, 0)."""
    multiprocessors: int
    threads_per_multiprocessor: int
    shared_memory: int
    """The most that a block may ask for."""
    memory: int
    l2: int
    workspace: int
    """What PyTorch asks of cuBLAS by default, per thread."""
    source: str
    """Where these figures are from."""
    flash: bool = True
    """Whether PyTorch is built with flash attention there; for Windows it is not."""

    def facts(self) -> dict[str, Any]:
        """The card as plain data."""
        return asdict(self)


@cache
def cards() -> dict[str, Card]:
    """The known cards by name."""
    return {name: _card(KNOWN, name, row) for name, row in yaml.safe_load(KNOWN.read_text()).items()}


def card(name: str) -> Card:
    """A known card, or that of a YAML file. Raises UsageError for an unknown name or a malformed file."""
    if name.endswith((".yaml", ".yml")):
        return _of_file(Path(name))
    if name not in cards():
        raise UsageError(f"unknown card {name!r}; known are {', '.join(cards())}, or a YAML file of your own")
    return cards()[name]


def of_driver(name: str) -> Card | None:
    """The known card that a driver calls `name`."""
    rows = yaml.safe_load(KNOWN.read_text())
    return next((cards()[key] for key, row in rows.items() if name in row["driver"]), None)


def _of_file(path: Path) -> Card:
    try:
        row = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: no card can be read from it: {str(error).splitlines()[0]}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{path}: expected a mapping with {', '.join(_NEEDED)}")
    return _card(path, str(row.get("name", path.stem)), row)


_OPTIONAL = ("flash",)
_NEEDED = tuple(field.name for field in fields(Card) if field.name not in ("name", *_OPTIONAL))


def _card(path: Path, name: str, row: dict[str, Any]) -> Card:
    known = {*_NEEDED, *_OPTIONAL, "name", "driver"}
    if unknown := sorted(set(row) - known, key=str):
        raise UsageError(f"{path}: {name} has no {unknown[0]!r}; a card has {', '.join(_NEEDED)}")
    for key in _NEEDED:
        value = row.get(key)
        if value is None:
            raise UsageError(f"{path}: {name} lacks {key!r}; a card has {', '.join(_NEEDED)}")
        if not _allowed(key, value):
            raise UsageError(f"{path}: {key} of {name} must be {_WANTED.get(key, 'a positive integer')}, not {value!r}")
    if not isinstance(row.get("flash", True), bool):
        raise UsageError(f"{path}: flash of {name} must be true or false, not {row['flash']!r}")
    values = {key: row[key] for key in (*_NEEDED, *_OPTIONAL) if key in row}
    return Card(name, **{**values, "capability": tuple(row["capability"])})


_WANTED = {"capability": "two integers, such as [9, 0]", "source": "a text"}


def _allowed(key: str, value: Any) -> bool:
    if key == "source":
        return isinstance(value, str)
    if key == "capability":
        return isinstance(value, list) and len(value) == 2 and all(type(part) is int and part >= 0 for part in value)
    return type(value) is int and value > 0


def this_card(timeout: float = 60.0) -> Card:
    """The card of this machine's first GPU, else the default one.

    A GPU whose name is unknown is asked for its properties in a process of its own, so that no CUDA starts here; raises
    Unmeasured where PyTorch cannot use it.
    """
    if not machine.gpus():
        return card(DEFAULT)
    from muse.memory.isolate import isolate

    return of_driver(machine.gpus()[0].name) or isolate(_ask, environment={}, timeout=timeout)


def _ask() -> Card:
    """What PyTorch reads of the first GPU."""
    import torch

    from muse.memory.peak import gpu

    seen = torch.cuda.get_device_properties(gpu())
    hopper = seen.major == 9
    return Card(
        name=seen.name,
        capability=(seen.major, seen.minor),
        multiprocessors=seen.multi_processor_count,
        threads_per_multiprocessor=seen.max_threads_per_multi_processor,
        shared_memory=seen.shared_memory_per_block_optin,  # type: ignore[attr-defined]  # its stub lacks it
        memory=seen.total_memory,
        l2=seen.L2_cache_size,
        workspace=HOPPER_WORKSPACE if hopper else WORKSPACE,
        source="read from the card by PyTorch",
    )


WORKSPACE, HOPPER_WORKSPACE = 8_519_680, 32 * 2**20
"""What PyTorch asks of cuBLAS where nothing is set."""
