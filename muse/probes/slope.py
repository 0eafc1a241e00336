"""The exponent of a power law, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from muse.claims.claim import Scope
from muse.claims.measurement import Measurement, Real
from muse.errors import Unmeasured

SMALLEST_SHARE = 0.5
"""At the largest size, at least this share of a figure must be above its baseline, or no slope is told."""


def slope(sizes: Sequence[int], values: Sequence[Real], scope: Scope, baseline: Real = 0) -> Measurement:
    r"""Fit :math:`v - v_0 = a N^s` and give s.

    The slope is the median of the slopes between all pairs of points in log-log scale, with Sen's 95 %
    interval; :math:`v_0` is the measured `baseline`, without which the constant part of a figure hides its growth.

    Raises Unmeasured when a value does not exceed the baseline, or the growing part is too small to judge.

    References
    ----------
    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 1968.
    """
    from scipy.stats import theilslopes

    grown = [float(value - baseline) for value in values]
    if min(grown) <= 0 or grown[-1] < SMALLEST_SHARE * float(values[-1]):
        raise Unmeasured("baseline_dominates", "the part that grows with the size is too small for a slope")
    fit = theilslopes([math.log(g) for g in grown], [math.log(n) for n in sizes], alpha=0.95)
    points = [[size, float(value)] for size, value in zip(sizes, values, strict=True)]
    return Measurement(
        float(fit.slope),
        float(fit.low_slope),
        float(fit.high_slope),
        scope,
        samples=grown,
        how={"points": points, "baseline": float(baseline), "fit": "Theil-Sen, log-log, 95 %"},
    )
