"""A grid of single operations on tensors of many shapes, strides and types: what they allocate, what is predicted."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, compress, cycle, product

import torch
from operations import FAMILIES, Call
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from muse.memory.allocator import SMALL
from muse.memory.card import Card
from muse.memory.semantics import as_cuda
from muse.memory.tracker import Tracker

Case = tuple[str, int, Callable[[torch.device], Call]]
"""Name, elements of its largest tensor, and what prepares the call."""

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
KEPT = (1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1)
"""Which cases of eleven the grid keeps: no family repeats its kinds in a period that divides by eleven."""


def grid(device: torch.device, largest: float = float("inf")) -> Iterator[tuple[str, Call]]:
    """The calls by name, prepared one by one; only those whose tensors have at most `largest` elements."""
    for name, size, prepare in cases():
        if size <= largest:
            yield name, prepare(device)


def cases() -> Iterator[Case]:
    """The grid: a part of all cases, each in one of the types, which take turns."""
    every = chain.from_iterable(family() for family in FAMILIES)
    for dtype, case in zip(cycle(FLOATS), compress(every, cycle(KEPT))):
        yield _typed(dtype, *case)


def every_case() -> Iterator[Case]:
    """Every case in every type."""
    for dtype, family in product(FLOATS, FAMILIES):
        for case in family():
            yield _typed(dtype, *case)


def _typed(dtype: torch.dtype, name: str, size: int, prepare: Callable[..., Call]) -> Case:
    return f"{name} {str(dtype).removeprefix('torch.')}", size, partial(_prepared, prepare, dtype)


def _prepared(prepare: Callable[..., Call], dtype: torch.dtype, device: torch.device) -> Call:
    def make(*shape: int, grad: bool = False) -> Tensor:
        return torch.randn(*shape, device=device, dtype=dtype, requires_grad=grad)

    return prepare(make)


def measure() -> dict[str, int]:
    """What every call of the grid allocates on this GPU at once, beyond what is there before it."""
    device, found = torch.device("cuda"), {}
    _warm(device)
    beside = _filled()
    gc.freeze()
    empty = torch.cuda.memory_allocated()
    for name, call in grid(device):
        given = torch.cuda.memory_allocated()
        call()
        given = _settled(given)
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        found[name] = torch.cuda.max_memory_allocated() - given
        del call
        empty = _settled(empty)
    del beside
    return found


def _settled(level: int) -> int:
    """What is allocated once the backward pass's thread has let go of what it made, which it does in its own time.

    That is `level` again, or after a second what there is: the first call of its kind may leave something for good.
    """
    _clean()
    deadline = time.monotonic() + 1
    while torch.cuda.memory_allocated() > level and time.monotonic() < deadline:
        time.sleep(1e-3)
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated()


def _warm(device: torch.device) -> None:
    """Let the matrix library have its workspace, in the forward thread and in that of the backward pass."""
    x = torch.ones(64, 64, device=device, requires_grad=True)
    torch.autograd.grad((x @ x).sum(), x)
    del x
    _clean()


def _filled() -> list[Tensor]:
    """Fill what is free beside the workspaces, which a prediction without them cannot know."""
    free = [
        block["size"]
        for segment in torch.cuda.memory_snapshot()
        for block in segment["blocks"]
        if block["state"] == "inactive" and block["size"] > SMALL and segment["segment_type"] == "large"
    ]
    return [torch.empty(size, dtype=torch.uint8, device="cuda") for size in sorted(free)]


def _clean() -> None:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


def predict(card: Card, largest: float = float("inf")) -> dict[str, int]:
    """The same, predicted for `card`; of the cases whose tensors have at most `largest` elements."""
    return predicted(card, (case for case in cases() if case[1] <= largest))


def predicted(card: Card, chosen: Iterable[Case]) -> dict[str, int]:
    """What each of the `chosen` cases is predicted to allocate."""
    found = {}
    with FakeTensorMode(), as_cuda(card):
        for name, _, prepare in chosen:
            with Tracker(card, 0) as tracker:
                call = prepare(torch.device("cpu"))
                tracker.allocator.empty()
                tracker.reset()
                before = tracker.live.total()
                call()
                found[name] = tracker.peak.total() - before
                del call
    return found
