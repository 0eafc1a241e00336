"""Run one function in a fresh process, so that no earlier work can be mistaken for its memory."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from muse.errors import MuseError, Unmeasured

T = TypeVar("T")


@dataclass(frozen=True)
class _Crash:
    traceback: str


def isolate(function: Callable[..., T], *args: Any, environment: dict[str, str], timeout: float) -> T:
    """What `function(*args)` returns in a spawned process under `environment`.

    Raises Unmeasured with reason out_of_memory, driver_error, worker_killed or timeout: a failure of the
    process is data, never the end of the run. Any MuseError of the function is raised as it is.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, environment, function, args), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(timeout):
            raise Unmeasured("timeout", f"no result after {timeout:.0f} s")
        result = ours.recv()
    except EOFError:
        child.join()
        raise Unmeasured("worker_killed", f"the measuring process ended with exit code {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    if isinstance(result, MuseError):
        raise result
    if isinstance(result, _Crash):
        raise RuntimeError(f"the measuring process failed:\n{result.traceback}")  # noqa: TRY004  # the child's failure, not a type
    value: T = result
    return value


def _child(pipe: Connection, environment: dict[str, str], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    try:
        pipe.send(attempt(function, *args))
    except Exception:  # noqa: BLE001  # a mistake of ours must reach the parent, whatever it is
        pipe.send(_Crash(traceback.format_exc()))


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
