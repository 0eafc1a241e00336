"""What an operation allocates inside itself and frees before it returns."""

from __future__ import annotations

from typing import Any

Phases = list[tuple[int, ...]]
"""One after another, the sizes that exist together, in the order in which they are asked for."""


def nbytes(x: Any) -> int:
    """Of a tensor's elements."""
    size: int = x.numel() * x.element_size()
    return size


def copies(*tensors: Any) -> tuple[int, ...]:
    """Those of `tensors` that must be made contiguous first."""
    return tuple(nbytes(x) for x in tensors if not x.is_contiguous())
