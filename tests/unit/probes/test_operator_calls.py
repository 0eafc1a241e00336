"""An operator as a call: how often it is made, on which inputs, and what it was tuned to."""

import sys
from types import SimpleNamespace

import pytest
import torch

from kernels.case import Work
from kernels.linear_scan import cases as scan_cases
from muse.errors import Unmeasured
from muse.probes import operator_calls
from muse.probes.operator_calls import COPIED, SIDE, Subject, floor, rotation


def test_the_floor_is_the_longer_of_bytes_and_operations():
    """At rates of one per second."""
    assert floor(Work(flops=3, bytes=5), copy=2 * COPIED, product=2 * SIDE**3) == 5
    assert floor(Work(flops=7, bytes=5), copy=2 * COPIED, product=2 * SIDE**3) == 7


def test_a_long_call_is_timed_once_a_sample(monkeypatch):
    """And warmed up by that alone."""
    calls = []
    monkeypatch.setattr(operator_calls, "seconds", lambda call, times: [call() for _ in range(times)] and 1.0)
    assert operator_calls.repeats(lambda: calls.append(1)) == 1
    assert len(calls) == 2


def test_the_gpu_waits_until_a_call_is_launched(monkeypatch):
    """A sample in which it began before is thrown away, unless it has waited long enough."""
    waited, clock, launching = [], [0.0], [0.0]

    def call():
        clock[0] += launching[0]

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            pass

        def query(self):
            return waited[-1] < 4 * operator_calls.AHEAD

        def elapsed_time(self, _):
            return 3e3

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "_sleep", waited.append)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(operator_calls, "perf_counter", lambda: clock[0])
    assert operator_calls.seconds(call, 2) == 3
    assert waited == [operator_calls.AHEAD * n for n in (1, 2, 4, 4)]
    waited.clear()
    launching[0] = 2e-3
    assert operator_calls.seconds(call, 2) == 3
    assert waited == [operator_calls.AHEAD, 8_000_000, 8_000_000]
    monkeypatch.setattr(Event, "query", lambda _: True)
    operator_calls.seconds(call, 2)
    assert waited[-2:] == [operator_calls.LONGEST, operator_calls.LONGEST]


def test_the_configurations_of_a_package_are_those_of_its_modules(monkeypatch):
    """Also behind heuristics, and of no other package."""
    from triton.runtime.autotuner import Autotuner, Heuristics

    def tuned(choice):
        tuner = Autotuner.__new__(Autotuner)
        tuner.best_config = choice
        return tuner

    behind = Heuristics.__new__(Heuristics)
    behind.fn = tuned("BT: 32")
    mine = SimpleNamespace(plain=tuned("BT: 64"), behind=behind, other=3)
    for name, module in (("peer.ops", mine), ("peerless", SimpleNamespace(no=tuned("BT: 1")))):
        monkeypatch.setitem(sys.modules, name, module)
    assert operator_calls._tuned("peer") == {"plain": "BT: 64", "behind": "BT: 32"}


def test_calls_take_their_inputs_in_turn(monkeypatch):
    """And begin again after the last."""
    seen = []
    monkeypatch.setattr(scan_cases, "CASES", (scan_cases.case(2, 3, 8),))
    monkeypatch.setattr(operator_calls, "rotation", lambda *_: 3)
    monkeypatch.setattr(Subject, "function", lambda _: lambda b, **_: seen.append(b.data_ptr()))
    call = Subject("linear_scan", "2x3x8", "float32", both=False).prepare(torch.device("cpu"))
    seen.clear()
    for _ in range(6):
        call()
    assert len(set(seen)) == 3
    assert seen[:3] == seen[3:]


def test_enough_sets_of_inputs_rotate_to_pass_the_cache_twice(monkeypatch):
    """Large inputs need two sets, small ones many, and there is an end to it."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(L2_cache_size=1000))
    cuda = torch.device("cuda")
    assert [rotation({"x": torch.zeros(n)}, cuda) for n in (10_000, 100, 1)] == [2, 6, operator_calls.SETS]


def test_a_loop_over_time_is_not_compiled():
    """It would be unrolled."""
    with pytest.raises(Unmeasured, match="loop over time"):
        Subject("bk_core", "16x4096", "float32", both=False, who="compiled").function()
