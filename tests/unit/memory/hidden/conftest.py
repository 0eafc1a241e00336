"""What one H100 allocated inside single operations, and where the rules of hidden memory say otherwise."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from muse.memory.card import Card, card
from muse.memory.hidden import hidden
from muse.memory.hidden.attention import backend

RECORDED = Path(__file__).parents[2] / "data" / "h100_allocations.json.gz"
DTYPES = {
    "f32": torch.float32,
    "f16": torch.float16,
    "b16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "u64": torch.uint64,
    "u8": torch.uint8,
    "b": torch.bool,
}
TENSOR = re.compile(rf"({'|'.join(DTYPES)})\[([\d,]*)\](?:s\[([\d,]*)\])?(?:cpu)?")
Row = tuple[list[Any], dict[str, Any], list[int]]


class Miss(NamedTuple):
    """A row of which the rules predict something else."""

    off: int
    row: Row
    predicted: list[int]


@pytest.fixture(scope="session")
def recorded() -> dict[str, list[Row]]:
    """By operation: arguments, and the sizes of the requests that it had open for itself when most was allocated.

    A tensor reads ``f32[2,3]``, with ``s[3,1]`` behind it where its strides are not the usual ones.
    """
    rows: dict[str, list[Row]] = json.loads(gzip.decompress(RECORDED.read_bytes()))["rows"]
    return rows


@pytest.fixture(scope="session")
def misses(recorded) -> Callable[..., Iterator[Miss]]:
    """The rows of an operation that the rules do not predict to the byte, on an H100 or another card."""

    def of(name: str, on: Card | None = None) -> Iterator[Miss]:
        for row in recorded[name]:
            args, kwargs, found = row
            phases = hidden(_operator(name), _value(args), _value(kwargs), on or card("h100"))
            predicted = sorted(max(phases, key=sum, default=()))
            if predicted != found:
                yield Miss(abs(sum(predicted) - sum(found)), row, predicted)

    return of


@pytest.fixture(scope="session")
def unpicked(recorded) -> Callable[..., Iterator[str]]:
    """The calls of a fused attention of which the rules say that a card would pick another."""

    def of(kind: str, on: Card | None = None) -> Iterator[str]:
        for (query, key, _, _, _, *dropout), _, _ in recorded[f"aten._scaled_dot_product_{kind}_attention.default"]:
            if (picked := backend(_value(query), _value(key), sum(dropout[:1]), on or card("h100"))) != kind:
                yield f"{query}: {picked}"

    return of


def _operator(name: str) -> Any:
    _, packet, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, packet), overload)


def _value(given: Any) -> Any:
    """Arguments as they were given, with tensors that hold no bytes."""
    if isinstance(given, list):
        return [_value(one) for one in given]
    if isinstance(given, dict):
        return {key: _value(one) for key, one in given.items()}
    if not isinstance(given, str):
        return given
    if given.startswith("torch."):
        return getattr(torch, given.removeprefix("torch."))
    parts = TENSOR.fullmatch(given)
    if parts is None:
        return given
    shape = _numbers(parts[2])
    strides = [prod(max(1, n) for n in shape[i + 1 :]) for i in range(len(shape))]
    strides = strides if parts[3] is None else _numbers(parts[3])
    return torch.empty_strided(shape, strides, dtype=DTYPES[parts[1]], device="meta")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]
