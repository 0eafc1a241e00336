"""The simulated allocator charges and reserves as CUDA's caching allocator does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse.memory.allocator import Allocator

MIB = 2**20
SIZES = st.one_of(st.integers(1, 5000), st.integers(1, 3 * MIB), st.integers(1, 40 * MIB))
STEPS = st.lists(st.one_of(SIZES, st.floats(0, 1, exclude_max=True)), max_size=60)
"""A size to ask for, or which of the live blocks to release."""


def played(steps):
    """An allocator after `steps`, and its live blocks, seen after every step."""
    allocator, live = Allocator(), []
    yield allocator, live
    for step in steps:
        if isinstance(step, int):
            live.append(allocator.allocate(step))
        elif live:
            allocator.release(live.pop(int(step * len(live))))
        yield allocator, live


def charged(*sizes):
    """The bytes that an empty allocator charges and reserves for `sizes`."""
    allocator = Allocator()
    for size in sizes:
        allocator.allocate(size)
    return allocator.live, allocator.reserved


@given(STEPS)
def test_what_is_live_is_the_sum_of_the_live_blocks(steps):
    """After every request and every release."""
    for allocator, live in played(steps):
        assert allocator.live == sum(block.size for block in live) <= allocator.reserved


@given(STEPS)
def test_no_two_live_blocks_overlap(steps):
    """Each ends where, or before, the next begins."""
    for _, live in played(steps):
        ordered = sorted(live, key=lambda block: block.address)
        ends = [block.address + block.size for block in ordered]
        assert all(end <= block.address for end, block in zip(ends, ordered[1:], strict=False))


@given(SIZES)
def test_a_block_holds_what_was_asked_for_in_whole_units(size):
    """Of 512 bytes."""
    live, _ = charged(size)
    assert size <= live
    assert live % 512 == 0


@given(STEPS)
def test_nothing_stays_reserved_once_all_is_released(steps):
    """Neighbours join again, and whole segments go back to the driver."""
    *_, (allocator, live) = played(steps)
    for block in live:
        allocator.release(block)
    allocator.empty()
    assert (allocator.live, allocator.reserved) == (0, 0)


@given(STEPS)
def test_the_cache_keeps_every_segment_that_still_has_a_live_block(steps):
    """Emptying it takes nothing that is in use."""
    *_, (allocator, live) = played(steps)
    allocator.empty()
    assert allocator.live == sum(block.size for block in live) <= allocator.reserved


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, (512, 2 * MIB)),
        (513, (1024, 2 * MIB)),
        (MIB, (MIB, 2 * MIB)),
        (MIB + 1, (MIB + 512, 20 * MIB)),
        (5 * MIB, (5 * MIB, 20 * MIB)),
        (10 * MIB - 512, (10 * MIB - 512, 20 * MIB)),
        (10 * MIB, (10 * MIB, 10 * MIB)),
        (20_000_000, (20_971_520, 20_971_520)),
    ],
)
def test_a_first_request_is_charged_and_reserved_as_by_cuda(size, expected):
    """Small ones from 2 MiB, larger ones from 20 MiB, and from 10 MiB on their own segment in whole 2 MiB."""
    assert charged(size) == expected


def test_small_requests_share_a_segment():
    """Two of 1 MiB fill it."""
    assert charged(MIB, MIB) == (2 * MIB, 2 * MIB)


def test_small_requests_do_not_take_what_is_free_in_a_large_segment():
    """Each pool has its own."""
    assert charged(5 * MIB, 1) == (5 * MIB + 512, 22 * MIB)


def test_a_rest_of_up_to_one_mib_goes_with_a_large_block():
    """It is charged, too."""
    assert charged(19 * MIB) == (20 * MIB, 20 * MIB)


def test_a_request_takes_the_smallest_free_block_that_holds_it():
    """The larger ones stay whole."""
    allocator = Allocator()
    small, _, large, _ = [allocator.allocate(size * MIB) for size in (3, 2, 6, 2)]
    place = small.address
    allocator.release(large)
    allocator.release(small)
    assert allocator.allocate(3 * MIB).address == place
