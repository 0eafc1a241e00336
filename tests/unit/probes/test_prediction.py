"""How predictions are judged, by measurements made by hand."""

from fractions import Fraction

import pytest

from muse.errors import Unmeasured
from muse.probes import memory, predicted_memory

PREDICTED = 1_000_000_000
MEASURED = {"phase7_large": PREDICTED + 2 * 2**20, "phase7_maximum": PREDICTED - 2 * 2**20 - 1}


@pytest.fixture
def near(ask, monkeypatch):
    """Which share of the named networks is predicted nearly; one that is not known fails for a reason."""

    def of(*names, reason="outgrew_admission"):
        def read(claim, bench, settings):
            if settings["model"] not in MEASURED:
                raise Unmeasured(reason, "stopped")
            return {"peak": MEASURED[settings["model"]]}

        monkeypatch.setattr(memory, "read", read)
        monkeypatch.setattr(predicted_memory, "read", lambda *_: {"peak": PREDICTED})
        among = [{"model": name} for name in names]
        return ask("prediction", "near", "percent", model=names[0], among=among).value

    return of


def test_a_peak_is_near_within_two_mebibytes(near):
    """To the byte, above and below."""
    assert near("phase7_large", "phase7_maximum") == Fraction(1, 2)


def test_a_measurement_that_outgrew_its_prediction_is_not_near(near):
    """It was stopped, and has no peak to compare."""
    assert near("phase7_large", "phase8_push") == Fraction(1, 2)


def test_what_could_not_be_measured_for_another_reason_decides_nothing(near):
    """The share of what was measured would be another claim."""
    with pytest.raises(Unmeasured, match="stopped"):
        near("phase7_large", "phase8_push", reason="driver_error")
