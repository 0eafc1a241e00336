"""Predicted bytes, by the sound procedure and by the documents' own."""

import json
from fractions import Fraction

import pytest

from muse.claims.claim import Scope
from muse.errors import Unmeasured
from muse.memory.predict import Footprint
from muse.models import phase7, phase8
from muse.nn.lowrank import SIZES
from muse.nn.shape import Shape
from muse.probes import predicted_memory
from muse.probes.workloads import workload

SHAPE = Shape(d_model=256, layers=2, heads=2, vocabulary=10000)
"""Wide enough for whole blocks of 512 bytes; with so many words that the logits make the peak."""
WORKSPACE = 8_519_680
"""8.125 MiB, from the settings' :4096:2:16:8."""
MODELS = {"phase7_maximum": 1_000_000, "phase8_maximum": 1_002_048, "phase7_large": 500_000}
PEAK = 3_000_000
SCRATCH = 100_000
"""Of the peak, what is inside one operation."""
LOADING = 50_000_000
"""How much higher the peak is where it is that of loading."""
RESERVED = 2_000_000
"""What the allocator keeps beyond the peak."""


@pytest.fixture
def faked(monkeypatch):
    """Predictions of known bytes: every model peaks `PEAK` above itself, the workspace not included.

    Of a sequence, all but the first are loaded beside the workspace; a peak reset before loading is loading's.
    """
    asked = []

    def footprint(what, workspace, left=0, loading=0):
        name = what.build.args[0]
        kinds = {"parameters": MODELS[name], "gradients": 0, "optimizer": 0, "activations": PEAK - SCRATCH}
        kinds |= {"scratch": SCRATCH + loading, "workspace": workspace}
        reserved = sum(kinds.values()) + RESERVED
        return Footprint(kinds, MODELS[name], MODELS[name] + left, left or workspace, reserved, fits=True)

    def predict(what, workspace, card):
        how = what.tokens, what.dtype, what.train, what.optimizer, what.loss, what.through_float32
        asked.append((what.build.args[0], *how, workspace, card.name))
        return footprint(what, workspace)

    def predict_documented(what, reset, workspace, card):
        names = [one.build.args[0] for one in what]
        asked.append((names, [one.dtype for one in what], reset, workspace, card.name))
        loading = LOADING if reset == "before_loading" else 0
        return [footprint(one, workspace, workspace if n else 0, loading) for n, one in enumerate(what)]

    monkeypatch.setattr(predicted_memory, "predict", predict)
    monkeypatch.setattr(predicted_memory, "predict_documented", predict_documented)
    return asked


@pytest.fixture
def read(ask):
    """One quantity of a preset, by a protocol."""

    def of(quantity, model="phase8_maximum", **given):
        return ask("predicted_memory", quantity, "B", model=model, **given).value

    return of


@pytest.fixture
def documented(read):
    """The same by the documents' procedure, over three models in one process, the peak reset once each is loaded."""

    def of(quantity, model, **given):
        procedure = {"protocol": "documented", "sequence": list(MODELS), "reset": "after_loading"}
        return read(quantity, model, **{**procedure, **given})

    return of


@pytest.fixture
def small(monkeypatch):
    """Both phases' standard presets, small."""
    monkeypatch.setitem(phase7.PRESETS, "phase7_standard", phase7.Config(SHAPE))
    monkeypatch.setitem(phase8.PRESETS, "phase8_standard", phase8.Config(SHAPE))


@pytest.mark.usefixtures("faked")
def test_soundly_the_workspace_belongs_to_nobody(read):
    """The model is its parameters, the activation the peak without parameters and workspace."""
    found = [read(quantity) for quantity in ("model", "peak", "activation", "workspace")]
    assert found == [1_002_048, 1_002_048 + PEAK + WORKSPACE, PEAK, WORKSPACE]


@pytest.mark.usefixtures("faked")
def test_by_the_document_the_first_model_is_not_charged_with_the_workspace(documented):
    """It is loaded before there is one, and so the workspace counts as its activation."""
    found = [documented(quantity, "phase7_maximum") for quantity in ("model", "peak", "activation")]
    assert found == [1_000_000, 1_000_000 + PEAK + WORKSPACE, PEAK + WORKSPACE]


@pytest.mark.parametrize("model", ["phase8_maximum", "phase7_large"])
@pytest.mark.usefixtures("faked")
def test_by_the_document_every_later_model_is_charged_with_the_workspace(documented, model):
    """What the first one left behind is counted as the model's weight, and no longer as activation."""
    found = [documented(quantity, model) for quantity in ("model", "peak", "activation")]
    assert found == [MODELS[model] + WORKSPACE, MODELS[model] + PEAK + WORKSPACE, PEAK]


@pytest.mark.parametrize(("model", "left"), [("phase7_maximum", 0), ("phase7_large", WORKSPACE)])
@pytest.mark.usefixtures("faked")
def test_a_peak_reset_before_loading_includes_loading_s_own(documented, model, left):
    """And the activation with it; reset afterwards, it does not."""
    before, after = (documented("peak", model, reset=f"{when}_loading") for when in ("before", "after"))
    assert (before, after) == (MODELS[model] + PEAK + WORKSPACE + LOADING, MODELS[model] + PEAK + WORKSPACE)
    assert documented("activation", model, reset="before_loading") == before - MODELS[model] - left


@pytest.mark.usefixtures("faked")
def test_without_a_sequence_the_document_s_is_the_model_and_what_it_is_compared_with(read):
    """The other one first, as a baseline is."""
    given = {"protocol": "documented", "reset": "after_loading"}
    assert read("model", **given) == 1_002_048
    assert read("model", **given, against="phase7_large") == 1_002_048 + WORKSPACE


@pytest.mark.usefixtures("faked")
def test_a_subject_of_the_sequence_may_have_settings_of_its_own(documented):
    """The same model at two precisions is two places in the sequence."""
    sequence = [{"model": "phase7_large", "dtype": dtype} for dtype in ("float32", "float16")]
    found = [documented("model", "phase7_large", sequence=sequence, dtype=dtype) for dtype in ("float32", "float16")]
    assert found == [500_000, 500_000 + WORKSPACE]


def test_the_other_model_may_have_settings_of_its_own(read, faked):
    """What it does not say is the claim's."""
    read("peak_difference", tokens=64, against={"model": "phase8_maximum", "dtype": "float32"})
    assert [asked[:3] for asked in faked] == [("phase8_maximum", 64, "float16"), ("phase8_maximum", 64, "float32")]


@pytest.mark.parametrize(
    ("train", "stated", "casts"), [(False, {}, True), (True, {}, False), (True, {"autocast": True}, True)]
)
def test_training_runs_without_autocast_unless_a_claim_says_otherwise(train, stated, casts):
    """And a forward pass with it, as the documents had both."""
    assert workload({"model": "phase8_maximum", "train": train, **stated}).casts is casts


@pytest.mark.parametrize(
    ("relation", "value"),
    [("difference", 2048), ("change", Fraction(2048, 1_000_000)), ("saved", Fraction(-2048, 1_000_000))],
)
@pytest.mark.usefixtures("faked")
def test_a_figure_is_told_against_another_s_in_three_ways(read, relation, value):
    """Bytes more, the share more, and the share less; both shares are of the other's."""
    assert read(f"parameters_{relation}", against="phase7_maximum") == value


@pytest.mark.usefixtures("faked")
def test_a_share_is_of_the_peak(read):
    """Parameters and activation and the workspace are all of it."""
    peak = 1_002_048 + PEAK + WORKSPACE
    assert read("parameters_share") == Fraction(1_002_048, peak)
    assert read("activation_share") == Fraction(PEAK, peak)


@pytest.mark.parametrize(("less", "fits"), [(0, 1), (1, 0)])
@pytest.mark.usefixtures("faked")
def test_a_peak_fits_a_budget_down_to_the_byte(read, less, fits):
    """One byte too small is too small."""
    assert read("fits", budget=1_002_048 + PEAK + WORKSPACE - less) == fits


@pytest.mark.parametrize(("quantity", "more"), [("model_difference", WORKSPACE), ("activation_difference", -WORKSPACE)])
@pytest.mark.usefixtures("small")
def test_the_procedures_differ_by_the_workspace_between_first_and_second(read, quantity, more):
    """In real predictions: the documents' +0.01 GB of model memory is the workspace and nothing else."""
    pair = {"model": "phase8_standard", "against": "phase7_standard"}
    documented = {"protocol": "documented", "reset": "after_loading"}
    assert read(quantity, **pair, **documented) - read(quantity, **pair) == more


@pytest.mark.usefixtures("faked")
def test_a_change_is_relative_to_the_other_model(read):
    """2,048 bytes of a million."""
    assert read("model_change", against="phase7_maximum") * 1_000_000 == 2048


@pytest.mark.usefixtures("faked")
def test_the_share_of_the_logits_is_of_the_activation(read):
    """512 tokens of 50,257 half-precision logits."""
    assert read("logits_share") * PEAK == 512 * 50257 * 2


def test_the_claims_words_reach_the_prediction(read, faked):
    """Tokens, precision and training are the claim's; the workspace is the settings'."""
    read("peak", tokens=64, dtype="bfloat16", train=True, optimizer="sgd", loss="sum", through_float32=True)
    assert faked == [("phase8_maximum", 64, "bfloat16", True, "sgd", "sum", True, WORKSPACE, "h100")]


@pytest.mark.parametrize("name", ["h100", "rtx3080-laptop"])
def test_the_claims_card_reaches_the_prediction(read, faked, name):
    """By either procedure."""
    read("peak", card=name)
    read("peak", card=name, protocol="documented")
    assert [asked[-1] for asked in faked] == [name, name]


def test_a_model_is_predicted_once_per_run(read, faked):
    """Every claim shares the reading."""
    for quantity in ("model", "peak"):
        read(quantity)
    assert len(faked) == 1


def test_a_documented_sequence_is_predicted_once_and_whole(documented, faked):
    """In its order, for every model and claim of it, under the workspace of the settings."""
    for quantity in ("model", "peak"):
        for model in MODELS:
            documented(quantity, model)
    assert faked == [(list(MODELS), ["float16"] * 3, "after_loading", WORKSPACE, "h100")]


def test_another_reset_is_another_reading(documented, faked):
    """Its peaks are other ones."""
    for when in ("before", "after"):
        documented("peak", "phase8_maximum", reset=f"{when}_loading")
    assert [asked[2] for asked in faked] == ["before_loading", "after_loading"]


@pytest.mark.parametrize(
    "given",
    [
        {"tokens": 64},
        {"batch": 2},
        {"dtype": "float32"},
        {"train": True},
        {"optimizer": "sgd"},
        {"loss": "sum"},
        {"autocast": False},
        {"through_float32": True},
        {"card": "rtx3080-laptop"},
    ],
)
def test_another_workload_is_another_reading(read, faked, given):
    """A claim is never answered with the bytes of another question."""
    read("peak")
    read("peak", **given)
    assert len(faked) == 2


@pytest.mark.usefixtures("faked")
def test_workers_find_each_others_readings(read, bench):
    """The question is the same text in every process: no address of an object is in it."""
    read("peak")
    [file] = bench.readings.glob("*.json")
    assert "0x" not in file.read_text()
    assert json.loads(file.read_text())["question"]["predicted"]["model"] == "phase8_maximum"


def test_a_prediction_that_cannot_be_made_is_unmeasured_for_every_claim(read, monkeypatch):
    """The reason comes through."""

    def predict(*args):
        raise Unmeasured("timeout", "too slow")

    monkeypatch.setattr(predicted_memory, "predict", predict)
    with pytest.raises(Unmeasured, match="too slow"):
        read("peak")


def test_the_evidence_is_predicted_and_keeps_its_bytes(ask):
    """The real prediction of the smallest model, whose parts a reader can add up."""
    found = ask("predicted_memory", "peak", "B", model="phase8_standard")
    parts = found.how["bytes"]
    assert found.scope is Scope.PREDICTED
    assert parts["model"] + parts["activation"] + parts["workspace"] == parts["peak"] == found.value
    assert parts["logits"] == 512 * 50257 * 2


def test_the_sizes_are_those_of_the_documents():
    """The readings above are of the networks in the tables."""
    assert [(s.d_model, s.layers) for s in SIZES.values()] == [(4096, 32), (3072, 48), (2048, 64), (2048, 48)]
