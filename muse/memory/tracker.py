"""Follows every storage that operations on fake tensors make, through a simulated allocator of one card."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from muse.memory.allocator import Allocator, Block
from muse.memory.card import Card
from muse.memory.hidden import hidden

KINDS = ("parameters", "gradients", "optimizer", "activations", "scratch", "workspace")
"""What a byte is held for. Gradients, once accumulated; scratch, inside one operation; activations, everything else
that a step makes."""

_aten = torch.ops.aten
PRODUCTS = {_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten.baddbmm.default, _aten.mv.default}
"""The operations for which cuBLAS holds a workspace, one for each thread: the backward pass has a thread of its own."""
ON_THE_HOST = {_aten._scaled_dot_product_efficient_attention.default: 2}
"""Operations whose results are numbers on the CPU from this one on."""

ORDER: dict[Any, Callable[[Any], tuple[int, ...]]] = {
    _aten.native_dropout.default: lambda args: (1, 0),  # noqa: ARG005  # the mask comes first
    _aten._scaled_dot_product_cudnn_attention.default: lambda args: (-3, -2, 0, 1) if args[4] else (-3, -2, 0),
}
"""Which results operations allocate, in which order, where it is another: attention starts with its seeds, and without
gradients makes no logarithms."""


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    """The results, in single precision where CUDA makes them so and a fake CPU does not: statistics and soft maxima."""
    if func in {_aten._softmax.default, _aten._log_softmax.default} and args[2]:
        return args[0].new_empty(args[0].shape, dtype=torch.float32)
    out = func(*args, **kwargs)
    if func is _aten.native_layer_norm.default:
        return (out[0], *(statistic.float() for statistic in out[1:]))
    return out


def _accumulates(args: Any) -> bool:
    """Whether the engine adds two gradients of one tensor, and may write to the first, which nobody else holds.

    It does so with plain tensors, and never under a mode like ours. Source: `accumulate` in
    torch/csrc/autograd/input_buffer.cpp.
    """
    if torch._C._current_graph_task_id() == -1 or torch.is_grad_enabled() or len(args) != 2:
        return False
    node, (first, second) = torch._C._current_autograd_node(), args
    if isinstance(node, BackwardCFunction) or not isinstance(second, Tensor) or first.shape != second.shape:
        return False
    alone = torch._C._storage_Use_Count(first.untyped_storage()._cdata) <= 2  # the tensor's, and the one just asked for
    return alone and first.dtype == second.dtype and _dense(first)


def _dense(x: Tensor) -> bool:
    """Whether its elements fill memory without gap or overlap, in whatever order of dimensions."""
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


Event = tuple[str, int | None, Block]
"""For what a block of how many bytes was taken; or, without bytes, was given back."""


def _own(events: list[Event]) -> list[Event]:
    """The events but those that give back what was taken before them: Python may collect it at any time."""
    taken, own = set(), []
    for event in events:
        _, size, block = event
        if size is not None:
            taken.add(block)
        elif block not in taken:
            continue
        own.append(event)
    return own


class Tracker(TorchDispatchMode):
    """What is live, by kind, and what was when most was."""

    def __init__(self, card: Card, workspace: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.card, self.workspace = card, workspace
        self.allocator = Allocator()
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._held: dict[int, tuple[str, Block | None]] = {}
        self._workspaces: dict[bool, Block] = {}
        self._noted: list[Event] | None = None
        self._known: dict[Any, list[Event]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is _aten._local_scalar_dense.default:
            return 1.0  # what a fake tensor holds, nobody knows; memory must not depend on it
        if func is _aten.add.Tensor and _accumulates(args):
            func = _aten.add_.Tensor
        if func is _aten.index_put.default and torch._C._current_graph_task_id() != -1:
            func = _aten.index_put_.default  # into zeros that nobody else holds; a mode like ours is shown a copy
        out = _run(func, args, kwargs)
        leaves = tree_leaves(out)[: ON_THE_HOST.get(func)]
        order = ORDER[func](args) if func in ORDER else range(len(leaves))
        for leaf in map(leaves.__getitem__, order):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in self._held:
                self.hold(leaf, "activations")
        self._inside(func, args, kwargs)
        return out

    def hold(self, tensor: Tensor, kind: str) -> None:
        """Count `tensor`'s storage until it dies, from now on under `kind`."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._held:
            before, block = self._held[key]
            size = block.size if block else 0
            self._held[key] = kind, block
            self._count(before, -size)
            self._count(kind, size)
        else:
            block = self._take(kind, storage.nbytes()) if storage.nbytes() else None
            weakref.finalize(storage, self._release, key)
            self._held[key] = kind, block

    def disregard(self, tensor: Tensor) -> None:
        """Count `tensor` no longer: on a GPU it stays with the CPU."""
        key = tensor.untyped_storage()._cdata
        self._release(key)
        self._held[key] = "host", None

    def remembered(self, function: Callable[..., None]) -> Callable[..., None]:
        """`function`, which is run once for tensors alike; for more of them only its allocations are repeated.

        Its operations must follow from its tensors' shapes. One that leaves something behind is run every time.
        """

        def call(*args: Any) -> None:
            tensors = [x for x in tree_leaves(args) if isinstance(x, Tensor)]
            like = (function.__qualname__, *((x.shape, x.stride(), x.dtype) for x in tensors))
            if like in self._known:
                self._repeat(self._known[like])
                return
            noted: list[Event] = []
            self._noted = noted
            try:
                function(*args)
            finally:
                self._noted = None
            if len(own := _own(noted)) == 2 * sum(size is not None for _, size, _ in own):
                self._known[like] = own

        return call

    def _repeat(self, events: list[Event]) -> None:
        blocks: dict[Block, Block] = {}
        for kind, size, block in events:
            if size is None:
                self._give(kind, blocks[block])
            else:
                blocks[block] = self._take(kind, size)

    def clear_workspaces(self) -> None:
        """Free them; the next matrix product of each thread asks for one again."""
        for block in self._workspaces.values():
            self._give("workspace", block)
        self._workspaces.clear()

    def reset(self) -> None:
        """Let the peak be what is live now."""
        self.peak = self.live.copy()

    def _inside(self, func: Any, args: Any, kwargs: Any) -> None:
        """What the operation allocates for itself."""
        phases = hidden(func, args, kwargs, self.card)
        for sizes in phases or ([()] if func in PRODUCTS else []):
            blocks = [self._take("scratch", size) for size in sizes]
            if func in PRODUCTS:
                self._work(backward=torch._C._current_graph_task_id() != -1)
            for block in blocks:
                self._give("scratch", block)

    def _work(self, *, backward: bool) -> None:
        """The first matrix product of a thread lets cuBLAS ask for its workspace."""
        if self.workspace and backward not in self._workspaces:
            self._workspaces[backward] = self._take("workspace", self.workspace)

    def _release(self, key: int) -> None:
        kind, block = self._held.pop(key)
        if block:
            self._give(kind, block)

    def _take(self, kind: str, size: int) -> Block:
        block = self.allocator.allocate(size)
        self._count(kind, block.size)
        if self._noted is not None:
            self._noted.append((kind, size, block))
        return block

    def _give(self, kind: str, block: Block) -> None:
        self._count(kind, -block.size)
        self.allocator.release(block)
        if self._noted is not None:
            self._noted.append((kind, None, block))

    def _count(self, kind: str, size: int) -> None:
        self.live[kind] += size
        if size > 0 and self.live.total() > self.peak.total():
            self.peak = self.live.copy()
