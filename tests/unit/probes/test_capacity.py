"""The largest model under a budget: predicted by fake tensors, and confirmed by what runs under a cap."""

from dataclasses import replace
from fractions import Fraction

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.claims.verdict import judge
from muse.errors import Unmeasured, UsageError
from muse.memory import peak
from muse.memory.allocator import SEGMENT_UNIT
from muse.memory.card import DEFAULT
from muse.memory.card import card as known
from muse.memory.predict import predict, workspace_bytes
from muse.models import phase7, phase8
from muse.nn.shape import Shape
from muse.probes import FIT, capacity
from muse.probes.workloads import workload

MIB = 2**20
BUDGET = 32 * MIB
SMALL = Shape(d_model=512, layers=1, heads=2, vocabulary=1000)
STEP = 2 * 8
"""Each head is a multiple of eight wide."""
GIVEN = {"model": "phase8_standard", "tokens": 16, "budget": BUDGET}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Both phases' standard presets, small."""
    for name, module in (("phase7_standard", phase7), ("phase8_standard", phase8)):
        monkeypatch.setitem(module.PRESETS, name, replace(module.PRESETS[name], shape=SMALL))


@pytest.fixture
def found(ask):
    """One quantity of the largest model, predicted unless another probe is named."""

    def of(quantity, probe="predicted_capacity", **given):
        return ask(probe, quantity, **{**GIVEN, **given})

    return of


@pytest.fixture
def fits(settings):
    """Whether a preset of another size is predicted to run under a cap on what the allocator takes."""
    workspace = workspace_bytes(settings.cublas_workspace)
    return lambda given, cap, **size: predict(workload(given, **size), workspace, known(DEFAULT), cap).fits


@pytest.mark.parametrize("varied", [("width", "d_model", STEP), ("layers", "layers", 1)])
@pytest.mark.parametrize("given", [{}, {"train": True, "optimizer": "sgd_in_backward"}])
def test_the_found_size_fits_and_the_next_one_does_not(found, fits, varied, given):
    """To the last width whose heads are multiples of eight, or to the last layer."""
    vary, called, step = varied
    size = found("size", vary=vary, **given).value
    asked = {**GIVEN, **given}
    assert [fits(asked, BUDGET, **{called: one}) for one in (size, size + step)] == [True, False]


def test_the_parameters_are_those_of_the_found_size(found, ask):
    """Counted on the network of that size, and evidence says which."""
    largest = found("parameters")
    size = found("size").value
    grown = replace(phase8.PRESETS["phase8_standard"], shape=replace(SMALL, d_model=size))
    phase8.PRESETS["phase8_standard"] = grown
    assert largest.value == ask("parameters", "total", model="phase8_standard").value
    assert largest.how["found"] == {"varied": "width", "size": size, "parameters": largest.value}
    assert largest.scope is Scope.PREDICTED


def test_the_ratio_is_of_two_presets_under_the_same_budget(found):
    """Both as large as they can be."""
    mine, other = (found("parameters", model=f"phase{phase}_standard").value for phase in (8, 7))
    assert found("parameters_ratio", against="phase7_standard").value == Fraction(mine, other)


def test_a_search_is_made_once_for_all_claims(found, monkeypatch):
    """Its size and its parameters are one reading."""
    found("size")
    monkeypatch.setattr(capacity, "predict", None)
    assert found("parameters").value > 0


def test_another_budget_is_another_search(found):
    """More memory, a larger model."""
    assert found("size", budget=2 * BUDGET).value > found("size").value


def test_a_budget_in_which_nothing_fits_is_refused(found):
    """The workspace alone is more than a mebibyte."""
    with pytest.raises(UsageError, match="not even the smallest size, 16, fits the budget"):
        found("size", budget=MIB)


@pytest.fixture
def card(monkeypatch):
    """A GPU on which widths up to a stated one run under the cap; every look is noted."""
    looks = []

    def isolate(function, what, cap, *, environment, timeout):
        width = what.build.keywords["d_model"]
        looks.append(width)
        assert (function, cap) == (peak.sound, BUDGET)
        if card.failure:
            raise Unmeasured(card.failure, "CUDA said so")
        if width > card.edge:
            raise Unmeasured("out_of_memory", "CUDA out of memory")

    def card(edge, failure=None):
        card.edge, card.failure = edge, failure
        return looks

    monkeypatch.setattr(capacity, "isolate", isolate)
    return card


def test_a_right_prediction_is_confirmed_in_two_looks(found, card):
    """At the size itself and at the next one."""
    predicted = found("size").value
    looks = card(predicted)
    measured = found("size", probe="capacity")
    assert (measured.value, measured.scope) == (predicted, Scope.EMULATED)
    assert looks == [predicted, predicted + STEP]


@pytest.mark.parametrize("off", [-5, -1, 1, 5])
def test_a_wrong_prediction_is_corrected_by_the_card(found, card, off):
    """The measured edge decides."""
    edge = found("size").value + off * STEP
    card(edge)
    assert found("size", probe="capacity").value == edge


def test_any_other_failure_is_no_answer(found, card):
    """Only what runs out of memory does not fit."""
    card(10**6, failure="driver_error")
    with pytest.raises(Unmeasured) as caught:
        found("size", probe="capacity")
    assert caught.value.reason == "driver_error"


def test_the_claim_of_a_fit_is_that_the_prediction_is_right(found, bench):
    """It is decided like any other, by the measuring probe, and needs a GPU."""
    predicted = capacity.largest(GIVEN, bench, measured=False)
    claim = capacity.as_claim("inference", {**GIVEN, "vary": "width"}, predicted)
    assert (claim.id, claim.document) == ("fit/inference[phase8_standard-33554432B-16tokens-width]", FIT)
    assert (claim.probe, claim.quantity, claim.needs) == ("capacity", "parameters", ("gpu",))
    right, wrong = found("parameters"), found("parameters", budget=2 * BUDGET)
    assert [judge(claim, one).status for one in (right, wrong)] == [Status.CONFIRMED, Status.REFUTED]


def test_the_claim_of_a_fit_keeps_what_was_asked():
    """Its evidence is told apart by the whole question."""
    claim = capacity.as_claim(
        "training", {**GIVEN, "vary": "width", "train": True, "optimizer": "sgd"}, {"parameters": 7}
    )
    assert claim.given == {**GIVEN, "vary": "width", "train": True, "optimizer": "sgd"}
    assert (claim.documented, claim.recorded) == (7, Status.CONFIRMED)
    assert claim.says.endswith(".")


@pytest.mark.parametrize(("less", "status"), [(0, Status.CONFIRMED), (1, Status.REFUTED)])
def test_a_budget_one_byte_too_small_turns_a_claim(a_claim, found, fits, less, status):
    """At exactly the segments that a size needs that size still fits."""
    edge = next(cap for cap in range(SEGMENT_UNIT, BUDGET, SEGMENT_UNIT) if fits(GIVEN, cap, d_model=480))
    claim = a_claim("predicted_capacity", "size", expect=Expect(at_least=480))
    assert judge(claim, found("size", budget=edge - less)).status is status
