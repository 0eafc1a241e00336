"""Run the documents' forward pass on fake tensors and see what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.utils.checkpoint
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from muse import models
from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.memory.workload import Workload
from muse.probes.bench import Bench
from muse.probes.workloads import vocabulary

BUILT_IN = ("aten", "prim", "prims")
"""The libraries of operators that PyTorch itself defines."""


class _Operators(TorchDispatchMode):
    """Counts the operators that run, by the library they belong to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_library: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        library = func.namespace
        self.by_library[library] = self.by_library.get(library, 0) + 1
        return func(*args, **(kwargs or {}))


def measure(claim: Claim, bench: Bench) -> Measurement:
    """Count checkpoints, operators from outside PyTorch, modules of a name, or bytes of a weight or of the output."""
    name = claim.given["model"]
    workload = Workload(partial(models.build, name), vocabulary(name), claim.given.get("tokens", 512))
    with FakeTensorMode(), _checkpoints() as checkpoints:
        model = workload.place(torch.device("cpu"))
        ids = workload.ids(torch.device("cpu"))
        with _Operators() as operators:
            output = workload.forward(model, ids)
    match claim.quantity:
        case "checkpoints":
            value = len(checkpoints)
        case "custom_operators":
            value = sum(n for library, n in operators.by_library.items() if library not in BUILT_IN)
        case "modules_named":
            wanted = claim.given["named"].lower()
            value = sum(wanted in type(module).__name__.lower() for module in model.modules())
        case "output_bytes":
            value = output.numel() * output.element_size()
        case _:
            value = max(p.element_size() for p in model.parameters())
    return certain(value, Scope.EXACT, operators=operators.by_library, device="fake")


@contextmanager
def _checkpoints() -> Iterator[list[object]]:
    """The functions that the pass hands to torch.utils.checkpoint, under whatever name it imported `checkpoint`."""
    seen: list[object] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(function: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(function)
            return real(function, *args, **kwargs)

        return noted

    module, generator = torch.utils.checkpoint, "_checkpoint_without_reentrant_generator"
    with (
        patch.object(module.CheckpointFunction, "apply", noting(module.CheckpointFunction.apply)),
        patch.object(module, generator, noting(getattr(module, generator))),
    ):
        yield seen
