"""Measure memory on a GPU by the sound procedure or by the documents' own, in a process of its own; see `isolate`."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from muse import machine
from muse.errors import Unmeasured
from muse.memory import budget, procedure
from muse.memory.optimizers import Updates
from muse.memory.workload import DTYPES, Workload

T = TypeVar("T")


@dataclass(frozen=True)
class Peak:
    """Bytes of one workload on one GPU."""

    parameters: int
    """Counted from the model's tensors, not from the allocator."""
    model: int
    """Allocated once the model is in place."""
    peak: int
    """The most that was allocated at once, workspace included: the figure that claims are about."""
    workspace: int
    """Held by the matrix libraries."""
    reserved: int
    """The most that the caching allocator held from the driver."""
    process: int | None
    """What the driver charged the process; None where it does not say."""
    by_kind: dict[str, int] = field(default_factory=dict)
    """Bytes for each purpose at the peak: what is left of it after parameters, gradients, optimizer state and
    workspace is the activations'."""
    how: dict[str, Any] = field(default_factory=dict)


def sound(workload: Workload, cap: int | None) -> Peak:
    """One workload by the sound procedure, under a hard `cap` if one is given."""
    meter = _Meter()
    if cap is not None:
        budget.impose(cap)
    reading = procedure.sound(workload, meter)
    kinds = {"parameters": reading.model, "gradients": meter.gradients_at_peak, "optimizer": meter.optimizer}
    kinds["activations"] = reading.peak - sum(kinds.values()) - reading.workspace
    kinds["workspace"] = reading.workspace
    stats = torch.cuda.memory_stats()
    how = {**meter.how(), "cap": cap, "ooms": stats["num_ooms"], "retries": stats["num_alloc_retries"]}
    process = machine.process_bytes(machine.gpus()[0]) if machine.gpus() else None
    return _peak(reading, process=process, by_kind=kinds, how=how)


def documented(workloads: Sequence[Workload], reset: str) -> list[Peak]:
    """Every workload by the documents' procedure, all in one process."""
    meter = _Meter()
    return [_peak(reading, how=meter.how()) for reading in procedure.documented(workloads, reset, meter)]


def _peak(reading: procedure.Reading, *, process: int | None = None, **told: Any) -> Peak:
    reserved = torch.cuda.max_memory_reserved()
    return Peak(reading.parameters, reading.model, reading.peak, reading.workspace, reserved, process, **told)


def extra(prepares: Sequence[Callable[[torch.device], Callable[[], object]]], dtype: str) -> list[int]:
    """For each call, the most bytes it needs at once beyond what exists before it, after a warm-up."""
    meter = _Meter()
    found = []
    for prepare in prepares:
        with torch.no_grad(), torch.autocast("cuda", dtype=DTYPES[dtype]):
            call = prepare(meter.device)
            call()
            meter.clean()
            meter.empty()
            torch.cuda.reset_peak_memory_stats()
            before = meter.allocated()
            call()
            torch.cuda.synchronize()
        found.append(meter.peak() - before)
        del call
        meter.clean()
    return found


def within(size: int, function: Callable[..., T], *args: Any) -> T:
    """`function(*args)`, stopped where it takes more than `size`: beside others, it was admitted on that promise.

    Raises Unmeasured, where the card broke its own promise with reason card_full.
    """
    torch.cuda.set_per_process_memory_fraction(min(1.0, size / torch.cuda.mem_get_info()[1]))
    try:
        return function(*args)
    except torch.cuda.OutOfMemoryError as error:
        free, taken = torch.cuda.mem_get_info()[0], torch.cuda.memory_reserved()
        if free < size - taken:
            raise Unmeasured("card_full", f"{free:,} B are left of the GPU, of {size - taken:,} B promised") from error
        raise Unmeasured("outgrew_admission", f"more than the {size:,} B it was admitted for") from error


class _Meter:
    """Reads a GPU."""

    def __init__(self) -> None:
        torch.backends.mha.set_fastpath_enabled(False)
        self.device = gpu()
        self.optimizer = 0
        """Bytes of the optimizer's state."""
        self._gradients: Gradients | None = None
        self._attention = Attention()

    def allocated(self) -> int:
        return torch.cuda.memory_allocated()

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated()

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats()
        if self._gradients:
            self._gradients.restart()

    def clean(self) -> None:
        gc.collect()
        torch.cuda.synchronize()

    def empty(self) -> None:
        torch.cuda.empty_cache()

    def clear_workspaces(self) -> None:
        torch._C._cuda_clearCublasWorkspaces()

    def follow(self, model: nn.Module, updates: Updates) -> None:
        self._gradients = Gradients(model) if updates.keeps_gradients else None

    def warm_up(self, step: Callable[[], None], updates: Updates) -> None:
        step()
        self.optimizer = _bytes(updates.state())

    @contextmanager
    def casting(self, workload: Workload) -> Iterator[None]:
        seen = nullcontext() if self._attention.seen else self._attention
        with seen, torch.autocast("cuda", dtype=DTYPES[workload.dtype]) if workload.casts else nullcontext():
            yield

    @property
    def gradients_at_peak(self) -> int:
        """Bytes; none where no gradient outlives its use."""
        if self._gradients is None:
            return 0
        self._gradients.look()
        return self._gradients.at_peak

    def how(self) -> dict[str, Any]:
        """What is to be known of how it was read."""
        return {
            "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
            "allocator": torch.cuda.get_allocator_backend(),
            "attention": self._attention.backends(),
        }


class Gradients:
    """Follows how many bytes of gradients are there when the peak is reached, looking as each is accumulated."""

    def __init__(self, model: nn.Module) -> None:
        self.held = self.at_peak = self.peak = 0
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(self._note)

    def restart(self) -> None:
        """Forget what was."""
        self.held = self.at_peak = self.peak = 0

    def look(self) -> None:
        """If the peak has risen since, it rose with the gradients held so far."""
        peak = torch.cuda.max_memory_allocated()
        if peak > self.peak:
            self.peak, self.at_peak = peak, self.held

    def _note(self, parameter: Tensor) -> None:
        self.look()
        self.held += parameter.numel() * parameter.element_size()


class Attention(TorchDispatchMode):
    """Notes which fused attention runs, so that no backend is taken for another."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "scaled_dot_product" in func.__name__:
            self.seen.add(func.__name__.split(".")[0].strip("_"))
        return func(*args, **(kwargs or {}))

    def backends(self) -> list[str]:
        """The fused operators that ran; plain matrix products where none did."""
        return sorted(self.seen) or ["matrix products"]


def gpu() -> torch.device:
    """The GPU. Raises Unmeasured where this PyTorch cannot use it."""
    if not torch.cuda.is_available():
        raise Unmeasured("no_cuda", f"PyTorch {torch.__version__} cannot use this machine's GPU")
    return torch.device("cuda")


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
