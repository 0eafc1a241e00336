"""The operators' tests of tests/vram, each by its own body, on the CPU: Triton interprets, and inputs are small."""

from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest
import torch

from muse.memory.card import card
from muse.memory.tracker import Tracker
from muse.probes.given import HOMES, Operator

VRAM = Path(__file__).parents[2] / "vram"


def load(name):
    """A file of tests/vram as a module."""
    spec = spec_from_file_location(f"vram_{name}", VRAM / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Each is a test of this file, under its own name and its file's.
BODIES = {
    f"test_{file}_{name.removeprefix('test_')}": body
    for file in (*(name for name in get_args(Operator) if name not in HOMES), "composition")
    for name, body in vars(load(f"test_{file}")).items()
    if name.startswith("test_")
}
globals().update(BODIES)


@pytest.fixture
def inputs(small_inputs):
    """Makes the inputs of a case of small sizes."""
    return small_inputs


@pytest.fixture
def device():
    """Where they run here."""
    return "cpu"


@pytest.fixture
def compiled():
    """The compiler without its code for a GPU."""

    def through(function):
        torch.compiler.reset()
        return torch.compile(function, backend="aot_eager", fullgraph=True)

    return through


@pytest.fixture
def graphed():
    """A CPU has no graphs: the call alone."""
    return lambda call: call()


@pytest.fixture
def extra_bytes():
    """Counts what a call holds beyond what it is given and returns; what a kernel allocates inside is not seen."""

    def count(call):
        with Tracker(card("h100"), 0) as tracker:
            results = call()
            kept = tracker.live.total()
        del results
        return tracker.peak.total() - kept

    return count


def test_the_gpu_finds_every_fixture_that_a_body_asks_for():
    """Those above stand for fixtures of the same name in tests/vram."""
    asked = {name for body in BODIES.values() for name in signature(body).parameters}
    assert asked & set(globals()) == asked & set(vars(load("conftest")))
