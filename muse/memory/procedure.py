"""How memory is measured, step by step: the sound way, and the documents' own.

A prediction takes the same steps as a measurement; only the meter differs, which reads a simulated allocator or a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from muse.memory.optimizers import Updates
from muse.memory.workload import Workload

RESETS = ("before_loading", "after_loading")
"""When the documents' procedure resets the peak."""


class Meter(Protocol):
    """Reads the allocated bytes of one process on one card."""

    device: torch.device

    def allocated(self) -> int:
        """Bytes now."""

    def peak(self) -> int:
        """The most since the last reset."""

    def reset(self) -> None:
        """Let the peak be what is allocated now."""

    def clean(self) -> None:
        """Collect garbage, and wait until nothing runs."""

    def empty(self) -> None:
        """Return unused segments to the driver."""

    def clear_workspaces(self) -> None:
        """Free what the matrix library holds."""

    def follow(self, model: nn.Module, updates: Updates) -> None:
        """Tell from now on what bytes of `model` are held for."""

    def warm_up(self, step: Callable[[], None], updates: Updates) -> None:
        """Run a step whose memory is nobody's figure."""

    def casting(self, workload: Workload) -> AbstractContextManager[object]:
        """CUDA's autocast, where the workload has it."""


@dataclass(frozen=True)
class Reading:
    """Bytes of one workload."""

    parameters: int
    """Counted from the model's tensors, not from the allocator."""
    model: int
    """Allocated once the model is in place."""
    peak: int
    workspace: int
    """What the step left allocated; by the documents' procedure, what was there beside the weights before it."""


def sound(workload: Workload, meter: Meter) -> Reading:
    """Load; warm up every shape; collect, clear workspaces, empty the cache, reset the peak; run once; read.

    The figure is then the workload's own: no loading transient, nothing left of earlier work, and a workspace of
    known size. The loss is taken under autocast, the backward pass outside it, as PyTorch recommends.
    """
    model = workload.place(meter.device)
    loaded = meter.allocated()
    ids, updates = workload.ids(meter.device), workload.updates(model)
    meter.follow(model, updates)

    def step() -> None:
        workload.step(model, ids, updates, lambda: meter.casting(workload))

    meter.warm_up(step, updates)
    meter.clean()
    meter.clear_workspaces()
    meter.empty()
    meter.reset()
    before = meter.allocated()
    step()
    meter.clean()
    return Reading(_bytes(model), loaded, meter.peak(), meter.allocated() - before)


def documented(workloads: Sequence[Workload], reset: str, meter: Meter) -> Iterator[Reading]:
    """The documents' procedure: every model after the other in one process, by these steps.

    1. collect garbage, empty the cache, reset the peak
    2. load the model, in float32 and converted on the GPU where the document did so; `model` is what is allocated now
    3. draw the ids on the CPU and move them
    4. where the document resets the peak after loading: empty the cache, reset the peak
    5. run the forward pass under autocast, in train mode where the document trains
    6. outside autocast: sum the logits, run the backward pass while the logits are still held; no optimizer
    7. `peak` is the most that was allocated
    8. drop model, ids, logits and loss

    No warm-up, and nothing clears the matrix library's workspace, so every model after the first is charged with it
    as if it were its own weight.
    """
    assert reset in RESETS
    for workload in workloads:
        yield _documented_one(workload, reset, meter)


def _documented_one(workload: Workload, reset: str, meter: Meter) -> Reading:
    meter.clean()
    meter.empty()
    meter.reset()
    model = workload.place(meter.device)
    loaded = meter.allocated()
    updates = workload.updates(model)
    meter.follow(model, updates)
    ids = workload.ids(meter.device)
    if reset == "after_loading":
        meter.empty()
        meter.reset()
    workload.step(model, ids, updates, lambda: meter.casting(workload))
    meter.clean()
    parameters = _bytes(model)
    return Reading(parameters, loaded, meter.peak(), loaded - parameters)


def _bytes(model: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())
