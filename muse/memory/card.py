"""What of a GPU decides how many bytes a computation allocates on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """One GPU model."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    threads_per_multiprocessor: int
    shared_memory: int
    memory: int
    l2: int
    workspace: int

H100 = Card("h100", (9, 0), 132, 2048, 232448, 85017493504, 52428800, 32 * 2**20)
