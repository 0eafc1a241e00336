"""What this machine is, asked of the driver and never of CUDA, so that nothing here opens a context.

A timing needs its GPU to itself: `lease` is a file lock per GPU, which the kernel releases
when its holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from muse.errors import UsageError


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it."""

    index: int
    uuid: str
    name: str
    total_bytes: int
    driver: str


@cache
def gpus() -> tuple[Gpu, ...]:
    """The GPUs this process may use, in CUDA_VISIBLE_DEVICES' order; none without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        every = tuple(_describe(index) for index in range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return every
    wanted = [entry.strip() for entry in visible.split(",") if entry.strip()]
    return tuple(gpu for entry in wanted for gpu in every if entry == str(gpu.index) or gpu.uuid.startswith(entry))


def alike() -> tuple[Gpu, ...]:
    """The GPUs that measure the same: those like the first."""
    return tuple(gpu for gpu in gpus() if gpu.name == gpus()[0].name)


def take(turn: int) -> None:
    """Of several GPUs alike, leave this process one, and the next to the process whose turn is the next."""
    if len(choice := alike()) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = choice[turn % len(choice)].uuid
        gpus.cache_clear()


def _describe(index: int) -> Gpu:
    """The driver's facts about GPU `index`."""
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        index=index,
        uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
        name=str(pynvml.nvmlDeviceGetName(handle)),
        total_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=str(pynvml.nvmlSystemGetDriverVersion()),
    )


def process_bytes(gpu: Gpu) -> int | None:
    """Bytes of `gpu` in use by this process as the driver counts them; None where it does not say."""
    import pynvml

    pynvml.nvmlInit()
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        mine = [p for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle) if p.pid == os.getpid()]
        return int(mine[0].usedGpuMemory) if mine and mine[0].usedGpuMemory else None
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def check_budget(budget: int) -> None:
    """Raise UsageError unless `budget` bytes can be a cap on this machine's first GPU."""
    if gpus() and budget > gpus()[0].total_bytes:
        card = gpus()[0]
        raise UsageError(f"a budget of {budget:,} B is above the {card.total_bytes:,} B of {card.name}; ask for less")


def slug() -> str:
    """The machine's name in paths and records: its first GPU, or else its processor."""
    name = gpus()[0].name if gpus() else f"cpu {platform.machine()}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


CONTEXT = 640 * 2**20
"""What a process takes of a GPU beside its allocator: CUDA's context and the libraries' modules."""
FREE_SHARE = 0.95
"""Of the card, what measurements may take together."""


@contextmanager
def admission(needs: int | Callable[[], int]) -> Iterator[None]:
    """Wait until so many bytes more fit the first GPU beside what other measurements of this machine were admitted for.

    First come, first served: what is large would else wait for all that is small. One line per process in a file beside
    the lease; those of processes that are gone do not count. What is larger than the card is admitted alone.
    """
    if not gpus():
        yield
        return
    size = needs if isinstance(needs, int) else needs()
    file = Path(tempfile.gettempdir()) / f"muse-{gpus()[0].uuid}.admitted"
    most, mine = int(gpus()[0].total_bytes * FREE_SHARE), f"{os.getpid()} {size + CONTEXT}"
    with file.with_suffix(".queue").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        while not _admitted(file, mine, most):
            time.sleep(0.05)
    try:
        yield
    finally:
        with _lines(file) as lines:
            lines.remove(mine)


def _admitted(file: Path, mine: str, most: int) -> bool:
    with _lines(file) as lines:
        lines[:] = [line for line in lines if _alive(int(line.split()[0]))]
        others = [int(line.split()[1]) for line in lines]
        if max(others, default=0) > CONTEXT and sum(others) + int(mine.split()[1]) > most:
            return False
        lines.append(mine)
        return True


@contextmanager
def _lines(file: Path) -> Iterator[list[str]]:
    """The file's lines, alone; written back as they are left."""
    with file.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        lines = handle.read().splitlines()
        yield lines
        handle.seek(0)
        handle.truncate()
        handle.write("".join(f"{line}\n" for line in lines))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def lease(*, exclusive: bool) -> Iterator[None]:
    """Hold this machine's first GPU: shared for memory, exclusively for timing. Waits for its turn."""
    if not gpus():
        yield
        return
    file = Path(tempfile.gettempdir()) / f"muse-{gpus()[0].uuid}.lock"
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
