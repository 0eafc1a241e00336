"""A measurement has a process of its own, and whatever becomes of it is data."""

import gc
import operator
import os
import time

import pytest
import torch

from muse.errors import Unmeasured, UsageError
from muse.memory.isolate import attempt, isolate
from muse.units import parse_bytes

PLENTY = 60.0
"""Seconds that no child here needs."""


def raising(error: BaseException):
    """Return a function that raises `error`."""

    def function():
        raise error

    return function


def test_a_value_comes_back_from_a_process_with_the_given_environment(monkeypatch):
    """The variable is set in the child and not here."""
    monkeypatch.delenv("MUSE_TEST_ONLY", raising=False)
    assert isolate(os.getenv, "MUSE_TEST_ONLY", environment={"MUSE_TEST_ONLY": "1"}, timeout=PLENTY) == "1"
    assert "MUSE_TEST_ONLY" not in os.environ


def test_the_process_is_a_fresh_one():
    """It inherits nothing of this process's state, as a fork would."""
    gc.disable()
    try:
        assert isolate(gc.isenabled, environment={}, timeout=PLENTY)
    finally:
        gc.enable()


@pytest.mark.parametrize(("function", "args", "code"), [(os._exit, (3,), 3), (os.abort, (), -6)])
def test_a_killed_process_is_unmeasured(function, args, code):
    """However it ends, the parent goes on and knows the exit code."""
    with pytest.raises(Unmeasured, match=f"exit code {code}$") as caught:
        isolate(function, *args, environment={}, timeout=PLENTY)
    assert caught.value.reason == "worker_killed"


def test_a_process_that_takes_too_long_is_unmeasured():
    """It is killed after its time, and not waited for."""
    began = time.monotonic()
    with pytest.raises(Unmeasured) as caught:
        isolate(time.sleep, 600, environment={}, timeout=0.5)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < PLENTY


def test_a_mistake_of_ours_reaches_the_parent_with_its_traceback():
    """It is an error of the program, never a finding about the claim."""
    with pytest.raises(RuntimeError, match=r"(?s)the measuring process failed:.*Traceback.*ZeroDivisionError"):
        isolate(operator.truediv, 1, 0, environment={}, timeout=PLENTY)


def test_an_error_for_the_user_comes_through_as_it_is():
    """A UsageError in the child is a UsageError here."""
    with pytest.raises(UsageError, match="'lots' is not an amount of memory"):
        isolate(parse_bytes, "lots", environment={}, timeout=PLENTY)


def test_an_attempt_that_succeeds_is_its_value():
    """Nothing is wrapped."""
    assert attempt(operator.add, 1, 2) == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 8 GiB"), "out_of_memory"),
        (RuntimeError("CUDA error: an illegal memory access\nmore"), "driver_error"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "driver_error"),
        (RuntimeError("Found no NVIDIA driver on your system."), "driver_error"),
    ],
)
def test_a_failure_of_the_gpu_is_unmeasured(error, reason):
    """It comes back as data, in one line."""
    found = attempt(raising(error))
    assert (type(found), found.reason) == (Unmeasured, reason)
    assert "\n" not in found.detail


def test_an_unmeasured_of_the_function_is_kept():
    """A probe's own reason is not replaced."""
    error = Unmeasured("cap_does_not_bite", "why")
    assert attempt(raising(error)) is error


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), KeyError("x"), ValueError("no")])
def test_any_other_error_is_raised(error):
    """A mistake of ours is not data."""
    with pytest.raises(type(error)):
        attempt(raising(error))
