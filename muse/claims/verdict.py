"""Compare a measurement with a claim's bound. Interval against interval; a straddle decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from muse.claims.claim import Claim, Status
from muse.claims.measurement import Measurement


@dataclass(frozen=True)
class Verdict:
    """A status with a stable reason code.

    Reason codes of a judged claim: within_bound, outside_bound, straddles_bound.
    Of an unmeasured one: no_gpu, no_cuda, no_probe, out_of_memory, worker_killed, timeout, driver_error,
    timed_under_xdist, cap_does_not_bite, outgrew_admission, card_full, baseline_dominates, no_peer, peer_disagrees.
    """

    status: Status
    reason: str
    detail: str = ""
    margin: float | None = None
    """Signed distance from the measured value to the nearest bound, in the base unit; inside is positive."""


def judge(claim: Claim, measurement: Measurement) -> Verdict:
    """Decide `claim` by `measurement`.

    Confirmed when the measured interval lies in the bound, refuted when it lies outside, inconclusive
    when it straddles. An `attainable` bound asks less: that the two intervals meet.
    """
    low, high = Fraction(measurement.low), Fraction(measurement.high)
    least, most = claim.bounds()
    strict = claim.expect.kind in ("below", "above")
    too_low = least is not None and (high < least or (strict and high == least))
    too_high = most is not None and (low > most or (strict and low == most))
    inside = (least is None or low > least or (not strict and low == least)) and (
        most is None or high < most or (not strict and high == most)
    )
    margin = _margin(Fraction(measurement.value), least, most)
    if too_low or too_high:
        return Verdict(Status.REFUTED, "outside_bound", margin=margin)
    if inside or claim.expect.kind == "attainable":
        return Verdict(Status.CONFIRMED, "within_bound", margin=margin)
    return Verdict(Status.INCONCLUSIVE, "straddles_bound", margin=margin)


def _margin(value: Fraction, least: Fraction | None, most: Fraction | None) -> float:
    sides = [value - least] if least is not None else []
    if most is not None:
        sides.append(most - value)
    return float(min(sides))
