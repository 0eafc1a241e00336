"""The machine is described without CUDA, and one GPU serves one timing at a time."""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace

import pynvml
import pytest

from muse import machine
from muse.errors import UsageError
from muse.machine import CONTEXT, FREE_SHARE, Gpu, admission, check_budget, gpus, lease, slug, take

CARD = Gpu(0, "GPU-aaaa", "NVIDIA H100 80GB HBM3 (SXM/5)", 80 * 2**30, "550.1")
OTHER = Gpu(1, "GPU-bbbb", "NVIDIA T4", 16 * 2**30, "550.1")

WAITER = """
import sys
from muse import machine
machine.gpus = lambda: (machine.Gpu(0, "GPU-aaaa", "card", 1, ""),)
print("ready", flush=True)
with machine.lease(exclusive=True):
    print("in", flush=True)
"""

ROOM = int(CARD.total_bytes * FREE_SHARE)
"""What the card's measurements may take together."""
ADMITTED = """
import sys
from muse import machine
machine.gpus = lambda: (machine.Gpu(0, "GPU-aaaa", "card", int(sys.argv[1]), ""),)
print("ready", flush=True)
with machine.admission(int(sys.argv[2])):
    print("in", flush=True)
    sys.stdin.read()
"""


def driver_is_here() -> bool:
    """Whether NVML can be started on this machine."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    pynvml.nvmlShutdown()
    return True


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A machine with one card, its lock file in a folder of its own."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"muse-{CARD.uuid}.lock"


@pytest.fixture
def admitted(card, monkeypatch):
    """Starts a process that waits to be admitted for some bytes, and then stays until its input is closed."""
    monkeypatch.setenv("TMPDIR", str(card.parent))
    started = []

    def start(size):
        words = [sys.executable, "-c", ADMITTED, str(CARD.total_bytes), str(size)]
        started.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def no_card(monkeypatch):
    """A machine without a GPU."""
    monkeypatch.setattr(machine, "gpus", tuple)


@pytest.fixture
def two_cards(monkeypatch):
    """A driver that knows two cards."""
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(machine, "_describe", lambda index: (CARD, OTHER)[index])


@pytest.mark.skipif(driver_is_here(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_there_are_no_gpus():
    """A machine without a driver is a machine without GPUs, not an error."""
    assert gpus.__wrapped__() == ()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, (CARD, OTHER)),
        ("", ()),
        ("-1", ()),
        ("1", (OTHER,)),
        ("1, 0", (OTHER, CARD)),
        ("GPU-bb", (OTHER,)),
    ],
)
@pytest.mark.usefixtures("two_cards")
def test_visible_devices_choose_and_order_the_gpus(monkeypatch, visible, expected):
    """CUDA_VISIBLE_DEVICES is obeyed by index and by the beginning of a UUID; empty hides all."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.__wrapped__() == expected


@pytest.mark.usefixtures("card")
def test_the_slug_of_a_gpu_is_safe_in_a_path():
    """A card's name becomes lower-case words with hyphens."""
    assert slug() == "nvidia-h100-80gb-hbm3-sxm-5"


@pytest.mark.usefixtures("no_card")
def test_the_slug_without_a_gpu_is_the_processor():
    """A machine without a GPU is named by its processor, safe in a path too."""
    assert re.fullmatch(r"cpu(-[a-z0-9]+)+", slug())


@pytest.mark.usefixtures("card")
def test_a_budget_above_the_card_is_refused():
    """One byte more than the card has names the card and its bytes."""
    with pytest.raises(UsageError, match=r"85,899,345,921 B is above the 85,899,345,920 B of NVIDIA H100"):
        check_budget(CARD.total_bytes + 1)


@pytest.mark.usefixtures("card")
def test_a_budget_of_the_whole_card_is_allowed():
    """The card's own size is a cap that it can have."""
    check_budget(CARD.total_bytes)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.usefixtures("no_card")
def test_a_lease_without_a_gpu_is_given_at_once(exclusive):
    """Where there is nothing to share, nobody waits."""
    with lease(exclusive=exclusive), lease(exclusive=True):
        pass


def test_shared_leases_are_held_together(card):
    """Two measurements of memory may run side by side."""
    with lease(exclusive=False), lease(exclusive=False), card.open() as handle, pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_exclusive_lease_keeps_shared_ones_out(card):
    """While a timing runs nothing else may measure."""
    with lease(exclusive=True), card.open() as handle, pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_second_process_waits_for_an_exclusive_lease(card, monkeypatch):
    """It enters after the holder has left, and not before."""
    monkeypatch.setenv("TMPDIR", str(card.parent))
    with lease(exclusive=True):
        waiter = subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True)
        assert waiter.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(0.5)
    assert waiter.communicate(timeout=30) == ("in\n", None)


def test_a_lease_ends_with_a_killed_holder(card, monkeypatch):
    """The lock dies with its process, however it dies."""
    monkeypatch.setenv("TMPDIR", str(card.parent))
    holder = subprocess.Popen(
        [sys.executable, "-c", WAITER + "\n    import time; time.sleep(60)"], stdout=subprocess.PIPE, text=True
    )
    assert [holder.stdout.readline(), holder.stdout.readline()] == ["ready\n", "in\n"]
    holder.kill()
    holder.communicate()
    with card.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_two_that_fit_the_card_are_admitted_together(admitted):
    """Down to the byte, each with the context of its process."""
    with admission(ROOM // 2 - CONTEXT):
        assert admitted(ROOM - ROOM // 2 - CONTEXT).stdout.readline() == "in\n"


def test_one_that_does_not_fit_waits_until_the_first_has_left(admitted):
    """One byte more, and it enters after the other, and not before."""
    with admission(ROOM // 2 - CONTEXT):
        waiter = admitted(ROOM - ROOM // 2 - CONTEXT + 1)
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.communicate(timeout=0.5)
    assert waiter.communicate(timeout=30) == ("in\n", None)


def test_what_a_dead_process_was_admitted_for_does_not_count(admitted):
    """However it died; the whole card is the next one's."""
    holder = admitted(ROOM - CONTEXT)
    assert holder.stdout.readline() == "in\n"
    holder.kill()
    holder.wait()
    assert admitted(ROOM - CONTEXT).stdout.readline() == "in\n"


def test_what_is_small_waits_behind_what_came_before_it(admitted):
    """Or what is large would wait for as long as small ones come."""
    with admission(ROOM // 2 - CONTEXT):
        large = admitted(ROOM - CONTEXT)
        with pytest.raises(subprocess.TimeoutExpired):
            large.communicate(timeout=0.5)
        small = admitted(0)
        with pytest.raises(subprocess.TimeoutExpired):
            small.communicate(timeout=0.5)
    assert [waiter.communicate(timeout=30) for waiter in (large, small)] == [("in\n", None)] * 2


def test_what_is_larger_than_the_card_waits_for_no_mere_contexts(admitted):
    """They are held for as long as workers live."""
    with admission(0):
        assert admitted(CARD.total_bytes).communicate(timeout=30) == ("in\n", None)


@pytest.mark.parametrize(("names", "expected"), [(("a", "a"), [[0], [1], [0]]), (("a", "b"), [[0, 1]] * 3)])
@pytest.mark.usefixtures("two_cards")
def test_workers_take_turns_to_have_one_of_the_gpus_alike(monkeypatch, names, expected):
    """A worker sees its own and no other; one of another kind measures something else."""
    cards = [replace(CARD, index=i, uuid=f"GPU-{i}", name=name) for i, name in enumerate(names)]
    monkeypatch.setattr(machine, "_describe", lambda index: cards[index])
    found = []
    for turn in range(3):
        monkeypatch.setattr(os, "environ", {"TMPDIR": tempfile.gettempdir()})
        gpus.cache_clear()
        take(turn)
        found.append([gpu.index for gpu in gpus()])
    gpus.cache_clear()
    assert found == expected
