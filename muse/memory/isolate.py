"""Run one function in a fresh process, so that no earlier work can be mistaken for its memory.

Such a process is forked from one that has imported PyTorch and done nothing else: it never started CUDA, and so
its children can, in a fraction of the time that an import takes.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from muse.errors import MuseError, Unmeasured

T = TypeVar("T")


@dataclass(frozen=True)
class _Crash:
    traceback: str


def isolate(function: Callable[..., T], *args: Any, environment: dict[str, str], timeout: float) -> T:
    """What `function(*args)` returns in a fresh process under `environment`; raises as `worker` does."""
    with worker(partial, function, *args, environment=environment, timeout=timeout) as call:
        return call()


@contextmanager
def worker(
    make: Callable[..., Callable[[], T]], *args: Any, environment: dict[str, str], timeout: float
) -> Iterator[Callable[[], T]]:
    """A fresh process under `environment` that holds `make(*args)`; yields a function that calls it there.

    A failure of the process is data, never the end of the run: making or calling raises Unmeasured with reason
    out_of_memory, driver_error, worker_killed or timeout. Any other MuseError is raised as it is.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, environment, make, args), daemon=True)
    child.start()
    theirs.close()

    def answer() -> Any:
        if not ours.poll(timeout):
            raise Unmeasured("timeout", f"no result after {timeout:.0f} s")
        try:
            result = ours.recv()
        except (EOFError, ConnectionResetError):
            child.join()
            detail = f"the measuring process ended with exit code {child.exitcode}"
            raise Unmeasured("worker_killed", detail) from None
        if isinstance(result, MuseError):
            raise result
        if isinstance(result, _Crash):
            raise RuntimeError(f"the measuring process failed:\n{result.traceback}")  # noqa: TRY004  # not a type
        return result

    def call() -> T:
        with suppress(BrokenPipeError):
            ours.send(None)
        value: T = answer()
        return value

    try:
        answer()
        yield call
    finally:
        child.kill()
        child.join()
        ours.close()


def _serve(pipe: Connection, environment: dict[str, str], make: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Make, say so, then call once for every message."""
    os.environ.update(environment)
    made: list[Callable[[], Any]] = []
    pipe.send(_told(lambda: made.append(make(*args))))
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(_told(made[0]))


def _told(function: Callable[[], Any]) -> Any:
    try:
        return attempt(function)
    except Exception:  # noqa: BLE001  # a mistake of ours must reach the parent, whatever it is
        return _Crash(traceback.format_exc())


def attempt(function: Callable[..., Any], *args: Any) -> Any:
    """What `function(*args)` returns, or the MuseError that says why it could not; a mistake of ours is raised."""
    try:
        with cuda_failures():
            return function(*args)
    except MuseError as error:
        return error


@contextmanager
def cuda_failures() -> Iterator[None]:
    """Turn a failure of CUDA into Unmeasured, with reason out_of_memory or driver_error."""
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise Unmeasured("out_of_memory", str(error).splitlines()[0]) from error
    except RuntimeError as error:
        if "CUDA" not in str(error) and "NVIDIA" not in str(error):
            raise
        raise Unmeasured("driver_error", str(error).splitlines()[0]) from error
