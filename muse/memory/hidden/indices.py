"""Scratch of operations that scan, sort or index."""

from __future__ import annotations

from typing import Any

import torch

from muse.memory.hidden.phases import Phases, copies

WORD = 8
"""An index."""


def cumulative_sum(x: Any, dtype: torch.dtype | None) -> Phases:
    """A copy in the type of the result, if it has another; the scan's own state for a single row is left out."""
    size = (dtype or x.dtype).itemsize
    if size != x.element_size():
        return [(x.numel() * size,)]
    return []


def put(indices: Any, values: Any, accumulate: bool) -> Phases:  # noqa: FBT001  # the operator's
    """Adding `values` at `indices`: these sorted, with the order, each twice, and a contiguous copy of the values.

    For up to 1,024 indices; of more, the sort's own scratch is left out.
    """
    if not accumulate:
        return []
    count = sum(i.numel() for i in indices if i is not None) * WORD
    return [(WORD, 1), (WORD, 1), (count, count), (count, *copies(values), count, count, count, 1)]


def safe_softmax(x: Any) -> Phases:
    """Which scores are minus infinity, and which rows are so throughout."""
    rows = x.numel() // x.shape[-1]
    return [(x.numel(), rows, 4)]
