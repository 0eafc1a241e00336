"""The largest size that fits a budget: searched on predictions, confirmed by measuring under a proven cap."""

from __future__ import annotations

import math
from collections.abc import Callable

from muse.errors import UsageError

Fits = Callable[[int], bool]
"""Whether a size fits."""
Needs = Callable[[int], tuple[bool, int]]
"""Whether a size fits, and the bytes that it needs."""


def largest(needs: Needs, budget: int, start: int, step: int) -> int:
    """The largest multiple of `step` that fits, from `start` on; larger sizes must need more.

    Bytes grow as a power of the size, so the next guess is where that power meets the budget: away from the sizes that
    were looked at by doubled steps, since a fragmented allocator may need more than it has given out, and halving the
    gap where those meet. Raises UsageError when not even `step` fits.
    """
    low, high, up, down, points = 0, 0, step, step, []
    size = max(step, start // step * step)
    while True:
        fits, used = needs(size)
        points.append((size, used))
        if fits:
            low, up = size, 2 * up if low else up
        else:
            high, down = size, 2 * down if high else down
        if high == step:
            raise UsageError(f"not even the smallest size, {step}, fits the budget; allow more memory")
        if high and high - low <= step:
            return low
        guess = _meeting(points, budget) // step * step
        if not high:
            size = max(guess, low + up)
        elif low + up > high - down:
            size = low + (high - low) // (2 * step) * step
        else:
            size = min(max(guess, low + up), high - down)


def _meeting(points: list[tuple[int, int]], budget: int) -> int:
    """Where the power law through the two points nearest to the budget meets it; of one point, the square's."""
    nearest = sorted(points, key=lambda point: abs(math.log(point[1] / budget)))[:2]
    (size, used), exponent = nearest[0], 2.0
    if len(nearest) == 2 and nearest[1][1] != used:
        exponent = math.log(nearest[1][1] / used) / math.log(nearest[1][0] / size)
    return int(size * (budget / used) ** (1 / min(max(exponent, 0.5), 3.0)))


def confirmed(fits: Fits, predicted: int, step: int) -> int:
    """The largest multiple of `step` that fits, expected at `predicted`: one that fits, whose successor does not.

    Looks at `predicted` and the size above it; where they disagree with the prediction, moves away from it by
    doubled steps until the edge is enclosed. Raises UsageError when nothing fits.
    """
    reach = step
    if fits(predicted):
        low, high = predicted, predicted + step
        while fits(high):
            low, high, reach = high, high + 2 * reach, 2 * reach
        return _between(fits, low, high, step)
    low, high = max(predicted - step, 0), predicted
    while low and not fits(low):
        low, high, reach = max(low - 2 * reach, 0), low, 2 * reach
    found = _between(fits, low, high, step)
    if not found:
        raise UsageError(f"not even the smallest size, {step}, fits the budget; allow more memory")
    return found


def _between(fits: Fits, low: int, high: int, step: int) -> int:
    """The edge between `low`, which fits, and `high`, which does not."""
    while high - low > step:
        middle = low + (high - low) // (2 * step) * step
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
