"""Predict peak memory on a GPU from fake tensors: no GPU, no weights, seconds for billions of parameters."""

from __future__ import annotations

import re
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from muse.errors import UsageError
from muse.memory.semantics import cuda_autocast, cuda_fused
from muse.memory.workload import DTYPES, Workload

KINDS = ("parameters", "gradients", "optimizer", "activations", "workspace")
"""What a byte is held for. Gradients, once accumulated; activations, everything else that a step makes."""

BLOCK, SEGMENT, LARGE, SPLIT = 512, 2 * 2**20, 10 * 2**20, 2**20
"""CUDA's caching allocator: every size is a multiple of BLOCK; a LARGE one comes from a segment of whole SEGMENTs,
and keeps what is left of it unless that exceeds SPLIT."""


def allocated(size: int) -> int:
    """Bytes that the allocator charges for `size` bytes asked of a fresh segment."""
    block = -(-size // BLOCK) * BLOCK
    segment = -(-block // SEGMENT) * SEGMENT
    return segment if block >= LARGE and segment - block <= SPLIT else block


@dataclass(frozen=True)
class Footprint:
    """Bytes by kind at the moment of the peak, and the model alone before it."""

    by_kind: Mapping[str, int]
    model_bytes: int
    loading_bytes: int
    """The most that loading the model needed at once."""

    @property
    def total_bytes(self) -> int:
        """The peak."""
        return sum(self.by_kind.values())


@dataclass
class Tracker(TorchDispatchMode):
    """Follows the life of every storage that operations make."""

    live: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._held: dict[int, str] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0  # what a fake tensor holds, nobody knows; memory must not depend on it
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in self._held:
                self.hold(leaf, "activations")
        return out

    def hold(self, tensor: Tensor, kind: str) -> None:
        """Count `tensor`'s storage until it dies, from now on under `kind`."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, allocated(storage.nbytes())
        if key in self._held:
            self.live[self._held[key]] -= size
        else:
            weakref.finalize(storage, self._release, key, size)
        self._held[key] = kind
        self.live[kind] += size
        if self.live.total() > self.peak.total():
            self.peak = self.live.copy()

    def _release(self, key: int, size: int) -> None:
        self.live[self._held.pop(key)] -= size


def workspace_bytes(config: str) -> int:
    """Bytes that CUBLAS_WORKSPACE_CONFIG asks for: pairs of KiB and count, as ``:4096:2:16:8``.

    Raises UsageError when the text is not of that form.
    """
    if not re.fullmatch(r":?\d+:\d+(:\d+:\d+)*", config, re.ASCII):
        raise UsageError(f"cublas_workspace must read like :4096:2:16:8, not {config!r}")
    numbers = [int(part) for part in config.removeprefix(":").split(":")]
    return sum(size * count for size, count in zip(numbers[::2], numbers[1::2], strict=True)) * 1024


def predict(workload: Workload, workspace: int) -> Footprint:
    """The peak of `workload` on a GPU whose matrix library holds `workspace` bytes per thread.

    A training step is predicted in the steady state: the second step, with optimizer state present.
    Its backward pass runs in a thread of its own, which has a workspace too.
    """
    tracker, cpu = Tracker(), torch.device("cpu")
    with FakeTensorMode(), plain_modules(), cuda_fused(), _autocast(workload), tracker:
        model, ids = replace(workload, through_float32=False).place(cpu), workload.ids(cpu)
        for parameter in model.parameters():
            tracker.hold(parameter, "parameters")
        model_bytes = tracker.live["parameters"]
        tracker.live["workspace"] = workspace
        if workload.train:
            tracker.live["workspace"] += workspace
            _follow_gradients(model, tracker)
        updates = workload.updates(model)
        if workload.train:
            workload.step(model, ids, updates)
            for tensor in updates.state():
                tracker.hold(tensor, "optimizer")
            for tensor in updates.counts():
                tracker.hold(tensor, "host")
        tracker.peak = Counter()
        workload.step(model, ids, updates)
    loading = _loading(model) if workload.converts else model_bytes
    return Footprint({kind: tracker.peak[kind] for kind in KINDS}, model_bytes, loading)


def _loading(model: nn.Module) -> int:
    """The most at once while the float32 parameters are converted one by one, each old one dropped as it is done."""
    sizes = [(allocated(4 * p.numel()), allocated(p.numel() * p.element_size())) for p in _in_order(model)]
    live = most = sum(wide for wide, _ in sizes)
    for wide, narrow in sizes:
        most = max(most, live + narrow)
        live += narrow - wide
    return most


def _in_order(model: nn.Module) -> Iterator[nn.Parameter]:
    """As ``Module.to`` visits them: a module's children before its own."""
    for child in model.children():
        yield from _in_order(child)
    yield from model.parameters(recurse=False)


@contextmanager
def plain_modules() -> Iterator[None]:
    """Without the fused inference path of PyTorch's transformer modules, which no measurement takes either."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def predict_extra(prepare: Callable[[torch.device], Callable[[], object]], dtype: str) -> int:
    """The most bytes that one call needs at once beyond what exists before it; `prepare` makes the call.

    Runs under CUDA's autocast to `dtype`, without gradients.
    """
    tracker = Tracker()
    with FakeTensorMode(), torch.no_grad(), cuda_autocast(DTYPES[dtype]), tracker:
        call = prepare(torch.device("cpu"))
        before = tracker.live.total()
        tracker.peak = Counter()
        call()
    return tracker.peak.total() - before


def _follow_gradients(model: nn.Module, tracker: Tracker) -> None:
    """Count a gradient as one as soon as it is accumulated."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(
                lambda p: tracker.hold(p.grad, "gradients") if p.grad is not None else None
            )


def _autocast(workload: Workload) -> Any:
    return cuda_autocast(DTYPES[workload.dtype]) if workload.casts else nullcontext()
