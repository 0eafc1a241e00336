"""Fake tensors ask the allocator for what plain tensors on a GPU do, in their order."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from muse.memory.card import card
from muse.memory.semantics import as_cuda
from muse.memory.tracker import Tracker

H100 = card("h100")
N, D = 1024, 512
WORKSPACE = 4096


@pytest.fixture
def asked(monkeypatch):
    """The sizes that a function asks for, on tensors that `make` has made before."""

    def of(make, function):
        sizes = []
        with FakeTensorMode(), as_cuda(H100), Tracker(H100, WORKSPACE) as tracker:
            made = make()
            allocate = tracker.allocator.allocate
            monkeypatch.setattr(tracker.allocator, "allocate", lambda size: sizes.append(size) or allocate(size))
            function(*made)
        return sizes

    return of


def leaf(*shape, dtype=torch.float32):
    """Return a tensor that wants a gradient."""
    return torch.empty(*shape, dtype=dtype, requires_grad=True)


def test_two_gradients_of_one_tensor_are_added_in_the_first(asked):
    """Four results and a gradient, five in the two paths back, one behind them; the sum of the paths takes none."""

    def both_ways(x):
        y = x * 1
        out = y.sin() + y.cos()
        out.backward(torch.ones_like(out))

    assert asked(lambda: (leaf(N, D),), both_ways) == [4 * N * D] * (4 + 1 + 5 + 1)


def test_a_dropout_asks_for_its_mask_first(asked):
    """One byte per element, then the output."""
    assert asked(lambda: (leaf(N, D),), lambda x: F.dropout(x, 0.1)) == [N * D, 4 * N * D]


def test_a_bias_is_added_in_place_where_the_input_is_not_contiguous(asked):
    """A contiguous copy, the output, and the workspace of the matrix library."""

    def make():
        return leaf(2, N, D).transpose(0, 1), leaf(D, D), leaf(D)

    assert asked(make, F.linear) == [4 * 2 * N * D, 4 * 2 * N * D, WORKSPACE]


def test_autocast_casts_the_last_argument_first(asked):
    """The bias and the weight of a normalisation, then its input."""

    def normed(x, weight, bias):
        with torch.autocast("cpu", dtype=torch.float16):
            F.layer_norm(x, (D,), weight, bias)

    half = torch.float16
    sizes = asked(lambda: (leaf(N, D, dtype=half), leaf(D, dtype=half), leaf(D, dtype=half)), normed)
    assert sizes[:3] == [4 * D, 4 * D, 4 * N * D]


def test_a_remembered_function_is_run_once_for_tensors_alike():
    """What it allocates is repeated, in its order and under its kinds; other shapes are run."""
    ran = []

    def function(x):
        ran.append(tuple(x.shape))
        F.silu(x * 2).sum()

    with FakeTensorMode(), as_cuda(H100), Tracker(H100, WORKSPACE) as tracker:
        remembered = tracker.remembered(function)
        found = []
        for x in (torch.empty(N, D), torch.empty(N, D), torch.empty(N, 2 * D)):
            tracker.reset()
            before = tracker.live.copy()
            remembered(x)
            assert tracker.live == before
            found.append(tracker.peak - before)
    assert ran == [(N, D), (N, 2 * D)]
    assert found[0] == found[1]
    assert found[0]["activations"] == 2 * 4 * N * D
    assert found[2]["activations"] == 2 * found[0]["activations"]


def test_a_function_that_leaves_something_is_run_every_time():
    """Its memory could not be repeated without its tensors."""
    left = []
    with FakeTensorMode(), as_cuda(H100), Tracker(H100, WORKSPACE) as tracker:
        remembered = tracker.remembered(lambda x: left.append(x * 2))
        for number in (1, 2):
            remembered(torch.empty(N, D))
            assert len(left) == number


def test_what_dies_meanwhile_is_not_part_of_a_remembered_function():
    """Python may collect older tensors at any time; the second call finds none, and is not run."""
    with FakeTensorMode(), as_cuda(H100), Tracker(H100, WORKSPACE) as tracker:
        older = [torch.empty(N, D)]
        ran = []
        remembered = tracker.remembered(lambda x: (ran.append(1), older.clear(), x.sin(), None)[-1])
        for _ in range(2):
            x = torch.empty(N, D)
            remembered(x)
            assert tracker.live.total() == 4 * N * D
            del x
        assert len(ran) == 1
        assert tracker.live.total() == 0
