"""Measurements for tests on a GPU, each in a process of its own."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from kernels.case import Case
from muse import machine
from muse.config import Settings, load_settings
from muse.memory import peak
from muse.memory.card import this_card
from muse.memory.isolate import isolate
from muse.memory.peak import Peak
from muse.memory.predict import Footprint, predict, workspace_bytes
from muse.probes import operator_calls
from muse.probes.memory import MARGIN, SPARE
from muse.probes.operators import operator
from muse.probes.workloads import workload

GIB = 2**30
AT_MOST = 13 * GIB
"""Bytes of the GPU; a network of these tests needs less."""
SUBJECTS = '''
"""Functions and networks that a spawned process can import."""

import torch
from torch import nn

from muse.memory.budget import impose


class Keeper(nn.Module):
    """One map, and bytes that stay behind from the first pass."""

    def __init__(self, size):
        super().__init__()
        self.map = nn.Linear(512, 512)
        self.size, self.kept = size, None

    def forward(self, ids):
        if self.size and self.kept is None:
            self.kept = torch.empty(self.size, dtype=torch.uint8, device=ids.device)
        x = torch.zeros(*ids.shape, 512, device=ids.device, dtype=self.map.weight.dtype)
        return self.map(x)


def allocated_under(cap, size):
    impose(cap)
    kept = torch.empty(size, dtype=torch.uint8, device="cuda")
    return torch.cuda.memory_allocated(), kept.numel()


def impose_without_teeth(cap):
    torch.cuda.set_per_process_memory_fraction = lambda *args: None
    impose(cap)
'''


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, or all workers wait for it in the end."""
    items.sort(key=lambda item: item.path.name not in ("test_peers.py", "test_hidden_memory.py"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture measures: without a GPU skip with the reason, or fail where one is required."""
    if machine.gpus():
        return
    reason = "no_gpu: no NVIDIA GPU is visible to its driver"
    if item.config.getoption("--require-gpu"):
        pytest.fail(f"--require-gpu: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The project's own settings."""
    return load_settings(Path(__file__).parents[2])


@pytest.fixture(scope="session")
def alone(settings) -> Callable[..., Any]:
    """Runs a function that a spawned process can import, in one, once there is room for the bytes it needs."""

    def run(function: Callable[..., Any], *args: Any, needs: int = AT_MOST) -> Any:
        with machine.lease(exclusive=False), machine.admission(needs):
            return isolate(function, *args, environment=settings.environment, timeout=settings.timeout)

    return run


@pytest.fixture(scope="session")
def measured(alone, predicted) -> Callable[..., Peak]:
    """A preset measured by the sound procedure, once for all tests that ask."""

    @cache
    def of(model: str, cap: int | None = None, **given: Any) -> Peak:
        needs = cap or int(predicted(model, **given).reserved * MARGIN) + SPARE
        return alone(peak.sound, workload({"model": model, **given}), cap, needs=needs)

    return of


@pytest.fixture(scope="session")
def predicted(settings) -> Callable[..., Footprint]:
    """The same, predicted."""
    workspace = workspace_bytes(settings.cublas_workspace)
    return cache(lambda model, **given: predict(workload({"model": model, **given}), workspace, this_card()))


@pytest.fixture(scope="session")
def context() -> Iterator[None]:
    """Room on the GPU for what this process keeps of it from its first test on."""
    with machine.admission(0):
        yield


@pytest.fixture
def inputs(request, context) -> Iterator[Callable[[Case, torch.dtype], dict[str, Any]]]:
    """Makes the inputs of an operator's case, once there is room for what the test takes.

    tests/unit/kernels/test_vram_bodies.py makes small ones on the CPU.
    """
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    needs = operator(given.get("name") or request.path.stem.removeprefix("test_")).needs
    with machine.lease(exclusive=False), machine.admission(needs):
        yield lambda case, dtype: case.make_inputs("cuda", dtype, 0)
        gc.collect()
        torch.cuda.empty_cache()


@pytest.fixture(scope="session")
def device() -> str:
    """Where the operators' tests run."""
    return "cuda"


@pytest.fixture
def compiled() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function, as a whole or not at all."""

    def through(function: Callable[..., Any]) -> Callable[..., Any]:
        torch.compiler.reset()
        return torch.compile(function, fullgraph=True)

    return through


@pytest.fixture
def graphed() -> Callable[[Callable[[], torch.Tensor]], torch.Tensor]:
    """Records a call in a CUDA graph, and replays it once."""

    def replayed(call: Callable[[], torch.Tensor]) -> torch.Tensor:
        call()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = call()
        graph.replay()
        torch.cuda.synchronize()
        return out

    return replayed


@pytest.fixture(scope="session")
def extra_bytes() -> Callable[[Callable[[], object]], int]:
    """Measures what a call holds beyond what it is given and returns; there it is counted."""
    return operator_calls.extra_bytes


@pytest.fixture(scope="session")
def subjects(tmp_path_factory) -> ModuleType:
    """`SUBJECTS` as a module: a spawned process inherits `sys.path`, and cannot import a test."""
    folder = tmp_path_factory.mktemp("subjects")
    (folder / "vram_subjects.py").write_text(SUBJECTS)
    sys.path.insert(0, str(folder))
    yield import_module("vram_subjects")
    sys.path.remove(str(folder))
