"""Run one function in a fresh process, so that no earlier work can be mistaken for its memory.

Such a process is forked from one that has imported what all need and done nothing else: it never started CUDA, and so
its children can, in a fraction of the time that an import takes.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any, TypeVar

from muse import machine
from muse.errors import MuseError, Unmeasured

T = TypeVar("T")

PRELOADED = ["torch"]
HEAVY = ["torch._dynamo", "muse.memory.peak"]
"""What measurements on a GPU need sooner or later: checkpoints and optimizers import the compiler, for seconds."""


@dataclass(frozen=True)
class _Crash:
    traceback: str


def prepare() -> None:
    """Start the process that fresh ones are forked from, which imports while others do something else."""
    _context()
    forkserver.ensure_running()


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *(HEAVY if machine.gpus() else [])])
    return context


class Process:
    """A fresh process under an environment, that runs what it is asked to, one after another.

    A failure of the process is data, never the end of the run: asking raises Unmeasured with reason out_of_memory,
    driver_error, worker_killed or timeout. Any other MuseError is raised as it is.
    """

    def __init__(self, environment: dict[str, str], timeout: float) -> None:
        context = _context()
        self._timeout = timeout
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=_serve, args=(theirs, environment), daemon=True)
        self._child.start()
        theirs.close()

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """What `function(*args)` returns there."""
        with suppress(BrokenPipeError):
            self._pipe.send((function, args))
        if not self._pipe.poll(self._timeout):
            raise Unmeasured("timeout", f"no result after {self._timeout:.0f} s")
        try:
            result = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._child.join()
            detail = f"the measuring process ended with exit code {self._child.exitcode}"
            raise Unmeasured("worker_killed", detail) from None
        if isinstance(result, MuseError):
            raise result
        if isinstance(result, _Crash):
            raise RuntimeError(f"the measuring process failed:\n{result.traceback}")  # noqa: TRY004  # not a type
        value: T = result
        return value

    def close(self) -> None:
        """End it, whatever it does."""
        self._child.kill()
        self._child.join()
        self._pipe.close()


def isolate(function: Callable[..., T], *args: Any, environment: dict[str, str], timeout: float) -> T:
    """What `function(*args)` returns in a fresh process under `environment`; raises as `Process` does."""
    with closing(Process(environment, timeout)) as process:
        return process.ask(function, *args)


@contextmanager
def worker(
    make: Callable[..., Callable[[], T]],
    *args: Any,
    environment: dict[str, str],
    timeout: float,
    kept_for: str | None = None,
) -> Iterator[Callable[[], T]]:
    """A process that holds `make(*args)`; yields a function that calls it there.

    The process is fresh, or that which was `kept_for` the same purpose: what it has compiled and tuned it need not
    again. Raises as `Process` does.
    """
    process = _kept(kept_for, environment, timeout) if kept_for else Process(environment, timeout)
    try:
        process.ask(_make, make, args)
        yield lambda: process.ask(_call)
        if kept_for:
            process.ask(_drop)
    except Unmeasured:
        _forget(process)
        raise
    finally:
        if not kept_for:
            process.close()


_KEPT: dict[str, Process] = {}
"""One at most: its purpose, and the process."""


def _kept(purpose: str, environment: dict[str, str], timeout: float) -> Process:
    if purpose not in _KEPT:
        for other in _KEPT.values():
            other.close()
        _KEPT.clear()
        _KEPT[purpose] = Process(environment, timeout)
    return _KEPT[purpose]


def _forget(process: Process) -> None:
    """Keep a process no longer that has failed."""
    for purpose, one in list(_KEPT.items()):
        if one is process:
            _KEPT.pop(purpose).close()


_MADE: list[Callable[[], Any]] = []
"""In the measuring process: what it holds."""


def _make(make: Callable[..., Callable[[], Any]], args: tuple[Any, ...]) -> None:
    _MADE[:] = [make(*args)]


def _call() -> Any:
    return _MADE[0]()


def _drop() -> None:
    """Give back the GPU's memory, for others."""
    import torch

    _MADE.clear()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _serve(pipe: Connection, environment: dict[str, str]) -> None:
    """Do what is asked until nobody asks any more."""
    os.environ.update(environment)
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        pipe.send(_told(partial(function, *args)))


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
