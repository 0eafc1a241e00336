"""Predict peak memory on a card from fake tensors: no GPU, no weights, seconds for billions of parameters."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from muse.errors import UsageError
from muse.memory import procedure
from muse.memory.card import Card
from muse.memory.optimizers import AdamW8bit, Updates
from muse.memory.semantics import as_cuda
from muse.memory.tracker import KINDS, Tracker
from muse.memory.workload import DTYPES, Workload


@dataclass(frozen=True)
class Footprint:
    """Bytes of one workload."""

    by_kind: Mapping[str, int]
    """At the moment of the peak."""
    parameters: int
    """Counted from the model's tensors."""
    model_bytes: int
    """Allocated once the model is in place."""
    workspace: int
    """As the procedure reads it."""
    reserved: int
    """What the allocator has taken from the driver."""
    fits: bool
    """Whether it stayed within the cap, if there was one."""

    @property
    def total_bytes(self) -> int:
        """The peak."""
        return sum(self.by_kind.values())


def workspace_bytes(config: str) -> int:
    """Bytes that CUBLAS_WORKSPACE_CONFIG asks for: pairs of KiB and count, as ``:4096:2:16:8``.

    Raises UsageError when the text is not of that form.
    """
    if not re.fullmatch(r":?\d+:\d+(:\d+:\d+)*", config, re.ASCII):
        raise UsageError(f"cublas_workspace must read like :4096:2:16:8, not {config!r}")
    numbers = [int(part) for part in config.removeprefix(":").split(":")]
    return sum(size * count for size, count in zip(numbers[::2], numbers[1::2], strict=True)) * 1024


def predict(workload: Workload, workspace: int, card: Card, cap: int | None = None) -> Footprint:
    """The peak of `workload` by the sound procedure on `card`, whose matrix library holds `workspace` bytes per thread.

    A training step is predicted in the steady state: the second step, with optimizer state present. Under a `cap`,
    the allocator returns unused segments before it exceeds it, and then says so.
    """
    with _watched(card, workspace, cap) as meter:
        return meter.footprint(procedure.sound(workload, meter))


def predict_documented(workloads: Sequence[Workload], reset: str, workspace: int, card: Card) -> list[Footprint]:
    """The same by the documents' procedure, all in one process."""
    with _watched(card, workspace) as meter:
        return [meter.footprint(reading) for reading in procedure.documented(workloads, reset, meter)]


class _Meter:
    """Reads a tracker."""

    device = torch.device("cpu")

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def allocated(self) -> int:
        return self.tracker.live.total()

    def peak(self) -> int:
        return self.tracker.peak.total()

    def reset(self) -> None:
        self.tracker.reset()

    def clean(self) -> None:
        gc.collect()

    def empty(self) -> None:
        self.tracker.allocator.empty()

    def clear_workspaces(self) -> None:
        self.tracker.clear_workspaces()

    def follow(self, model: nn.Module, updates: Updates) -> None:
        for optimizer in updates.optimizers:
            if isinstance(optimizer, AdamW8bit):  # of which a slice takes thirty operations, and a model thousands
                optimizer.update_slice = self.tracker.remembered(optimizer.update_slice)  # type: ignore[method-assign]
        for parameter in model.parameters():
            self.tracker.hold(parameter, "parameters")
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._gradient)

    def _gradient(self, parameter: Tensor) -> None:
        if parameter.grad is not None:  # an optimizer may have used it already
            self.tracker.hold(parameter.grad, "gradients")

    def warm_up(self, step: Callable[[], None], updates: Updates) -> None:
        if updates.optimizers:
            step()
        for tensor in updates.state():
            self.tracker.hold(tensor, "optimizer")
        for tensor in updates.counts():
            self.tracker.disregard(tensor)

    def casting(self, workload: Workload) -> AbstractContextManager[object]:
        return torch.autocast("cpu", dtype=DTYPES[workload.dtype]) if workload.casts else nullcontext()

    def footprint(self, reading: procedure.Reading) -> Footprint:
        """The tracker's peak by kind."""
        allocator = self.tracker.allocator
        return Footprint(
            by_kind={kind: self.tracker.peak[kind] for kind in KINDS},
            parameters=reading.parameters,
            model_bytes=reading.model,
            workspace=reading.workspace,
            reserved=allocator.reserved,
            fits=not allocator.exceeded,
        )


@contextmanager
def _watched(card: Card, workspace: int, cap: int | None = None) -> Iterator[_Meter]:
    tracker = Tracker(card, workspace)
    tracker.allocator.cap = cap
    with FakeTensorMode(), plain_modules(), as_cuda(card), tracker:
        yield _Meter(tracker)


@contextmanager
def plain_modules() -> Iterator[None]:
    """Without the fused inference path of PyTorch's transformer modules, which no measurement takes either."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def predict_extra(prepare: Callable[[torch.device], Callable[[], object]], dtype: str, card: Card) -> int:
    """The most bytes that one call needs at once beyond what exists before it; `prepare` makes the call.

    Runs under CUDA's autocast to `dtype`, without gradients, with the workspace already there.
    """
    with _watched(card, 0) as meter, torch.no_grad(), torch.autocast("cpu", dtype=DTYPES[dtype]):
        call = prepare(meter.device)
        meter.empty()
        meter.reset()
        before = meter.allocated()
        call()
        return meter.peak() - before
