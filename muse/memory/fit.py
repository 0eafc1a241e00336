"""The largest size that fits a budget: searched on predictions, confirmed by measuring under a proven cap."""

from __future__ import annotations

from collections.abc import Callable

from muse.errors import UsageError

Fits = Callable[[int], bool]
"""Whether a size fits."""


def largest(fits: Fits, step: int) -> int:
    """The largest multiple of `step` that fits, by doubling and then halving the gap; larger sizes must need more.

    Raises UsageError when not even `step` fits.
    """
    if not fits(step):
        raise UsageError(f"not even the smallest size, {step}, fits the budget; allow more memory")
    low, high = step, 2 * step
    while fits(high):
        low, high = high, 2 * high
    return _between(fits, low, high, step)


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
    low, high = predicted - step, predicted
    while low >= step and not fits(low):
        low, high, reach = low - 2 * reach, low, 2 * reach
    if low < step:
        return largest(fits, step)
    return _between(fits, low, high, step)


def _between(fits: Fits, low: int, high: int, step: int) -> int:
    """The edge between `low`, which fits, and `high`, which does not."""
    while high - low > step:
        middle = low + (high - low) // (2 * step) * step
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
