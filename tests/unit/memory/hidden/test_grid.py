"""The grid that a GPU is measured with, on this machine's CPU: no byte is compared, but every call runs."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from muse.memory.card import card

LARGEST = 5000
"""Elements of a case's largest tensor."""


@pytest.fixture(scope="module")
def grid():
    """The module, by its path."""
    path = next(up for up in Path(__file__).parents if up.name == "tests") / "vram" / "grid.py"
    spec = spec_from_file_location("grid", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def predicted(grid):
    """The small cases' bytes."""
    return grid.predict(card("h100"), LARGEST)


def test_every_call_of_the_grid_runs(grid):
    """On tensors that hold numbers."""
    for name, call in grid.grid(torch.device("cpu"), LARGEST):
        try:
            call()
        except RuntimeError as error:
            pytest.fail(f"{name}: {error}")


def test_every_call_of_the_grid_is_predicted(grid, predicted):
    """Under its own name, which no other has, and with bytes of its own."""
    names = [name for name, _ in grid.grid(torch.device("meta"), LARGEST)]
    assert sorted(names) == sorted(predicted)
    assert all(size >= 512 for size in predicted.values())


@pytest.mark.parametrize(
    "kind", ["sum", "amax", "std", "mm", "layer_norm", "softmax", "cumsum", "depthwise", "embedding", "attention"]
)
def test_the_small_grid_has_every_kind_of_operation(predicted, kind):
    """A slip in any of them is seen without a GPU."""
    assert any(name.startswith(kind) for name in predicted)
