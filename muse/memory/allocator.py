"""CUDA's caching allocator, simulated: what it charges for each request, and what it takes from the driver.

Small requests come from segments of 2 MiB, larger ones from segments of 20 MiB, and from 10 MiB on from their own, in
whole 2 MiB. The smallest free block that is large enough serves; what is left of it stays free, unless it is so little
that it goes with the block, which is then charged whole. Source: c10/cuda/CUDACachingAllocator.cpp of PyTorch 2.11
with its default settings; the constants are the same from 2.0 on.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

UNIT, SMALL, MEDIUM = 512, 2**20, 10 * 2**20
SMALL_SEGMENT, MEDIUM_SEGMENT, SEGMENT_UNIT = 2 * 2**20, 20 * 2**20, 2 * 2**20


@dataclass(eq=False)
class Block:
    """A part of a segment, and its neighbours there."""

    address: int
    size: int
    small: bool
    free: bool = True
    before: Block | None = None
    after: Block | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Free blocks are chosen by size, then by address."""
        return self.size, self.address


@dataclass
class Allocator:
    """One process's allocator on one card."""

    live: int = 0
    """Bytes that are charged now."""
    reserved: int = 0
    """Bytes in segments."""
    cap: int | None = None
    """The most that segments may take."""
    exceeded: bool = False
    """Whether more was asked for than the cap allows, even with every unused segment returned."""
    _free: dict[bool, list[tuple[int, int]]] = field(default_factory=lambda: {True: [], False: []})
    _at: dict[int, Block] = field(default_factory=dict)
    _top: int = 0

    def allocate(self, size: int) -> Block:
        """A block for `size` bytes, which may be charged a little more."""
        size = max(UNIT, -(-size // UNIT) * UNIT)
        small = size <= SMALL
        pool = self._free[small]
        place = bisect_left(pool, (size, 0))
        block = self._at[pool.pop(place)[1]] if place < len(pool) else self._segment(size, small)
        left = block.size - size
        if left >= UNIT if small else left > SMALL:
            rest = Block(block.address + size, left, small, before=block, after=block.after)
            if block.after:
                block.after.before = rest
            block.after, block.size = rest, size
            self._put(rest)
        block.free = False
        self.live += block.size
        return block

    def release(self, block: Block) -> None:
        """Give `block` back, joined with its free neighbours."""
        self.live -= block.size
        for other in (block.before, block.after):
            if other and other.free:
                self._free[other.small].remove(other.key)
                first, second = (other, block) if other is block.before else (block, other)
                first.size += second.size
                first.after = second.after
                if second.after:
                    second.after.before = first
                del self._at[second.address]
                block = first
        self._put(block)

    def empty(self) -> None:
        """Return the segments in which nothing is left, as `torch.cuda.empty_cache` does."""
        for pool in self._free.values():
            for _, address in list(pool):
                block = self._at[address]
                if not (block.before or block.after):
                    pool.remove(block.key)
                    del self._at[address]
                    self.reserved -= block.size

    def _segment(self, size: int, small: bool) -> Block:  # noqa: FBT001  # a property of the pool
        if small:
            size = SMALL_SEGMENT
        elif size < MEDIUM:
            size = MEDIUM_SEGMENT
        else:
            size = -(-size // SEGMENT_UNIT) * SEGMENT_UNIT
        if self.cap is not None and self.reserved + size > self.cap:
            self.empty()
            self.exceeded |= self.reserved + size > self.cap
        block = Block(self._top, size, small)
        self._at[block.address] = block
        self._top += size
        self.reserved += size
        return block

    def _put(self, block: Block) -> None:
        block.free = True
        self._at[block.address] = block
        insort(self._free[block.small], block.key)
