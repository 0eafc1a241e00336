"""What CUDA's operations allocate inside themselves, measured afresh on the GPU at hand."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from muse.memory.card import this_card

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def grid():
    """The grid as a module: a spawned process inherits `sys.path`, and cannot import a test."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield import_module("grid")
    sys.path.remove(folder)


def test_every_single_operation_allocates_what_is_predicted(alone, grid):
    """To the byte, of at least 300 operations of many shapes, strides and types."""
    measured, predicted = alone(grid.measure, needs=4 * 2**30), grid.predict(this_card())
    missed = [(abs(found - predicted[name]), name) for name, found in measured.items() if found != predicted[name]]
    assert len(measured) >= 300
    assert measured.keys() == predicted.keys()
    if missed:
        told = [f"{name}: {measured[name]:,} bytes, and {predicted[name]:,} predicted" for _, name in sorted(missed)]
        pytest.fail(f"{len(missed)} of {len(measured)} missed; the worst last:\n" + "\n".join(told), pytrace=False)
