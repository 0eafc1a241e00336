"""A cap on a bigger card bites, or nothing is said to fit under it."""

import pytest

from muse.errors import Unmeasured, UsageError
from muse.memory import budget
from muse.memory.budget import PROOF
from muse.probes import capacity
from muse.probes.bench import Bench

pytestmark = pytest.mark.gpu

GIB = 2**30


@pytest.fixture
def under(alone, subjects):
    """Allocates so many bytes in a process of its own under a cap."""
    return lambda cap, size: alone(subjects.allocated_under, cap, size, needs=2 * GIB)


def test_an_allocation_beyond_the_cap_is_out_of_memory(under):
    """On a card that has many times as much."""
    with pytest.raises(Unmeasured) as caught:
        under(GIB, GIB + PROOF)
    assert caught.value.reason == "out_of_memory"


def test_an_allocation_under_the_cap_is_had(under):
    """The proof that the cap bites leaves nothing behind that would take its place."""
    assert under(GIB, GIB - PROOF) == (GIB - PROOF, GIB - PROOF)


def test_a_cap_that_does_not_bite_is_not_believed(alone, subjects):
    """If PyTorch ignored it, the claim would be unmeasured and not confirmed."""
    with pytest.raises(Unmeasured) as caught:
        alone(subjects.impose_without_teeth, GIB, needs=2 * GIB)
    assert caught.value.reason == "cap_does_not_bite"


def test_a_cap_above_the_card_is_refused(alone):
    """A request that cannot be, told as one."""
    with pytest.raises(UsageError, match="above the card"):
        alone(budget.impose, 2**50, needs=GIB)


def test_a_model_that_exceeds_its_cap_is_unmeasured(measured):
    """Phase 8's maximum size needs more than 5 GiB, and says so as data."""
    with pytest.raises(Unmeasured) as caught:
        measured("phase8_maximum", 5 * GIB)
    assert caught.value.reason == "out_of_memory"


def test_a_cap_that_holds_the_model_changes_nothing(measured):
    """The same bytes as without one, and the cap beside them."""
    capped, free = measured("phase7_standard", 8 * GIB), measured("phase7_standard")
    assert (capped.peak, capped.by_kind) == (free.peak, free.by_kind)
    assert (capped.how["cap"], free.how["cap"]) == (8 * GIB, None)


@pytest.mark.parametrize("given", [{}, {"train": True, "optimizer": "sgd_in_backward"}])
def test_the_largest_model_under_a_cap_is_the_predicted_one_to_a_layer(settings, tmp_path, given):
    """The last one that fits runs under the cap, and the next one does not."""
    bench = Bench(settings, tmp_path)
    asked = {"model": "phase8_standard", "tokens": 128, "budget": GIB, "vary": "layers", **given}
    predicted, found = (capacity.largest(asked, bench, measured=measured) for measured in (False, True))
    assert abs(found["size"] - predicted["size"]) <= 1
