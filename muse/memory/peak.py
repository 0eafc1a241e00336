"""Measure memory on a GPU: the sound procedure, and the documents' own.

Both run in a process of their own; see `isolate`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from muse import machine
from muse.errors import Unmeasured
from muse.memory import budget
from muse.memory.workload import DTYPES, Workload


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
    """Warm up, clean, reset the peak after loading, run once, read.

    The figure is then the workload's own: no loading transient, nothing left of earlier work, and a
    workspace of known size.
    """
    device, how = _prepare()
    if cap is not None:
        budget.impose(cap)
    model = workload.place(device)
    loaded = torch.cuda.memory_allocated()
    gradients = Gradients(model)
    ids, updates = workload.ids(device), workload.updates(model)
    with _autocast(workload):
        with Attention() as attention:
            workload.step(model, ids, updates)
        _clean()
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        gradients.held = gradients.peak = 0
        workload.step(model, ids, updates)
        torch.cuda.synchronize()
    gradients.look()
    peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    _clean()
    workspace = torch.cuda.memory_allocated() - before
    parameters = _bytes(model.parameters())
    at_peak = gradients.at_peak if updates.keeps_gradients else 0
    kinds = {"parameters": loaded, "gradients": at_peak, "optimizer": _bytes(updates.state())}
    kinds["activations"] = peak - sum(kinds.values()) - workspace
    kinds["workspace"] = workspace
    stats = torch.cuda.memory_stats()
    how |= {
        "attention": attention.backends(),
        "cap": cap,
        "ooms": stats["num_ooms"],
        "retries": stats["num_alloc_retries"],
    }
    process = machine.process_bytes(machine.gpus()[0]) if machine.gpus() else None
    return Peak(parameters, loaded, peak, workspace, reserved, process, kinds, how)


def extra(prepares: Sequence[Callable[[torch.device], Callable[[], object]]], dtype: str) -> list[int]:
    """For each call, the most bytes it needs at once beyond what exists before it, after a warm-up."""
    device, _ = _prepare()
    found = []
    for prepare in prepares:
        with torch.no_grad(), torch.autocast("cuda", dtype=DTYPES[dtype]):
            call = prepare(device)
            call()
            _clean()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            call()
            torch.cuda.synchronize()
        found.append(torch.cuda.max_memory_allocated() - before)
        del call
        _clean()
    return found


def documented(workloads: Sequence[Workload], reset: str) -> list[Peak]:
    """The documents' procedure: every model after the other in one process, the peak reset before or after loading.

    No warm-up, and nothing clears the matrix library's workspace, so every model after the first is charged
    with it as if it were its own weight.
    """
    device, how = _prepare()
    return [_documented_one(workload, reset, device, how) for workload in workloads]


def _documented_one(workload: Workload, reset: str, device: torch.device, how: dict[str, Any]) -> Peak:
    _clean()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.empty_cache()
    model = workload.place(device)
    loaded = torch.cuda.memory_allocated()
    parameters = _bytes(model.parameters())
    ids = workload.ids(device)
    if reset == "after_loading":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with _autocast(workload), Attention() as attention:
        workload.step(model, ids, workload.updates(model))
    torch.cuda.synchronize()
    return Peak(
        parameters=parameters,
        model=loaded,
        peak=torch.cuda.max_memory_allocated(),
        workspace=loaded - parameters,
        reserved=torch.cuda.max_memory_reserved(),
        process=None,
        how={**how, "attention": attention.backends()},
    )


class Gradients:
    """Follows how many bytes of gradients are there when the peak is reached, looking as each is accumulated."""

    def __init__(self, model: nn.Module) -> None:
        self.held = self.at_peak = self.peak = 0
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(self._note)

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


def _prepare() -> tuple[torch.device, dict[str, Any]]:
    """The device, and what is to be known about how it runs."""
    torch.backends.mha.set_fastpath_enabled(False)
    return gpu(), {
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "allocator": torch.cuda.get_allocator_backend(),
    }


def _clean() -> None:
    gc.collect()
    torch.cuda.synchronize()


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _autocast(workload: Workload) -> Any:
    return torch.autocast("cuda", dtype=DTYPES[workload.dtype]) if workload.casts else nullcontext()
