"""Parameters are counted on the real networks, without their weights."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from muse import models
from muse.models import PRESETS, phase8
from muse.nn import lowrank
from muse.nn.lowrank import SIZES
from muse.probes import parameters
from muse.probes.parameters import PARTS, counted


@pytest.fixture
def count(ask):
    """One quantity of a preset."""
    return lambda quantity, model, **given: ask("parameters", quantity, model=model, **given).value


def by_hand(size: str, *, curvature: bool) -> int:
    """Return the parameters of a size, layer by layer, from the documents' description."""
    s = SIZES[size]
    d, r, f = s.d_model, s.d_model // 4, s.d_model // 8
    embedding = s.vocabulary * r + r * d + d
    attention = 4 * (d * d + d) + curvature
    ffn = (d * f + f) + (f * 4 * d + 4 * d) + (4 * d * f + f) + (f * d + d)
    return embedding + s.layers * (attention + ffn + 2 * 2 * d) + 2 * d + s.vocabulary * d


@pytest.mark.parametrize("model", [f"{phase}_{size}" for phase in ("phase7", "phase8") for size in SIZES])
def test_the_total_is_the_sum_of_the_parts_written_out(count, model):
    """Embedding, attention, both halves of the feed-forward network, norms and head."""
    phase, size = model.split("_")
    assert count("total", model) == by_hand(size, curvature=phase == "phase8")


@pytest.mark.parametrize("size", SIZES)
def test_phase8_has_one_parameter_per_layer_more(count, size):
    """Its curvature, and nothing else."""
    pair = {"model": f"phase8_{size}", "against": f"phase7_{size}"}
    assert count("total_difference", **pair) == SIZES[size].layers


def test_the_change_is_relative_to_the_other_model(count):
    """Not to itself: the denominator is what the document compares with."""
    change = count("total_change", "phase8_standard", against="phase7_standard")
    assert change == Fraction(48, by_hand("standard", curvature=False))


def test_the_formula_leaves_the_biases_out(count):
    """The documents' closed formula is short by exactly the biases that it does not mention, and by the final norm."""
    s = SIZES["standard"]
    d, f = s.d_model, s.d_model // 8
    biases = d + s.layers * (4 * d + 2 * f + 5 * d) + 2 * d
    assert count("total", "phase7_standard") - count("formula", "phase7_standard") == biases


def test_the_embedding_saves_less_than_its_rank_says(count):
    """The table shrinks to a quarter, but the projection back to the width has parameters too."""
    d, v = 2048, 50257
    assert count("embedding_saved", "phase8_deep") == 1 - Fraction(v * d // 4 + d // 4 * d + d, v * d)


def test_the_feed_forward_network_saves_less_than_its_rank_says(count):
    """Four factors of d x d/8 and 4d x d/8 are 1.25 d^2, to a thousandth with the biases."""
    assert float(count("ffn_saved", "phase8_maximum")) == pytest.approx(1 - 1.25 / 8, abs=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_width_and_layers_are_read_off_the_network(count, size):
    """As built, not as configured."""
    found = [count(quantity, f"phase8_{size}") for quantity in ("width", "layers")]
    assert found == [SIZES[size].d_model, SIZES[size].layers]


def test_one_layer_more_is_counted(count, monkeypatch):
    """A network with another layer has its parameters, its curvature and its place in the count of layers."""
    before = count("total", "phase8_standard")
    config = phase8.PRESETS["phase8_standard"]
    longer = replace(config, shape=replace(config.shape, layers=49))
    monkeypatch.setitem(phase8.PRESETS, "phase8_standard", longer)
    d, f = 2048, 256
    layer = 4 * (d * d + d) + 1 + 10 * d * f + 5 * d + 2 * f + 4 * d
    assert count("total", "phase8_standard") - before == layer
    assert count("layers", "phase8_standard") == 49


@pytest.mark.parametrize(
    ("divisor", "value", "quantity"), [("FFN_DIVISOR", 4, "ffn_saved"), ("EMBEDDING_DIVISOR", 8, "embedding_saved")]
)
def test_another_rank_is_counted(count, monkeypatch, divisor, value, quantity):
    """The share that a factorisation saves follows the network that is built."""
    before = count(quantity, "phase8_standard")
    monkeypatch.setattr(lowrank, divisor, value)
    assert abs(count(quantity, "phase8_standard") - before) > Fraction(1, 20)


@pytest.mark.parametrize("model", PRESETS)
def test_the_parts_of_every_preset_add_up(model):
    """Embedding, mixers, feed-forward networks, norms and head; Phase 2's unused potentials belong to none."""
    with torch.device("meta"):
        network = models.build(model)
    parts = {part: counted(network, part) for part in PARTS}
    shape = models.config(model).shape
    nobody_s = shape.layers * shape.d_model if model == "phase2" else 0
    apart = sum(parts[part] for part in ("embedding", "mixers", "ffns", "norms", "head"))
    assert parts["all"] - apart == nobody_s
    for one, every in (("block", "blocks"), ("mixer", "mixers"), ("ffn", "ffns")):
        assert parts[every] == shape.layers * parts[one] > 0
    inside = parts["blocks"] - parts["mixers"] - parts["ffns"] - nobody_s
    outside = parts["all"] - parts["embedding"] - parts["blocks"] - parts["head"]
    assert inside + outside == parts["norms"]


@pytest.mark.parametrize("model", PRESETS)
def test_the_width_of_every_preset_is_read_off_its_first_block(count, model):
    """Whatever stands first in it."""
    shape = models.config(model).shape
    assert [count(quantity, model) for quantity in ("width", "layers")] == [shape.d_model, shape.layers]


@pytest.mark.parametrize(
    ("model", "part", "by_hand"),
    [
        ("baseline_small", "embedding", 10_000 * 512),
        ("baseline_small", "mixer", 4 * 512 * 512 + 4 * 512),
        ("baseline_small", "ffn", 8 * 512 * 512 + 5 * 512),
        ("baseline_small", "norms", 6 * 4 * 512),
        ("baseline_small", "head", 10_000 * 512 + 10_000),
        ("phase2", "mixer", 3 * 4096 + 2 * 4096 * 12),
        ("phase1_ultra", "mixer", 512 * 128 + 128 + 128 * 8 + 8 + 2 * 512 * 8 + 3 * 512 + 8 * 512 + 512),
        ("phase1_ultra", "norms", 7 * 2 * 512),
        ("phase1_ultra_tied", "head", 0),
    ],
)
def test_a_part_has_the_parameters_that_its_maps_have(count, model, part, by_hand):
    """Weights and biases, written out."""
    assert count("total", model, part=part) == by_hand


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("total_difference", -3),
        ("total_saved", 1 - Fraction(2, 5)),
        ("total_ratio", Fraction(2, 5)),
        ("total_change", Fraction(2, 5) - 1),
    ],
)
def test_a_count_is_told_against_another_s_in_four_ways(count, monkeypatch, quantity, value):
    """Parameters more, times as many, and the share more or less of the other's."""
    counts = iter([2, 5])
    monkeypatch.setattr(parameters, "counted", lambda *_: next(counts))
    assert count(quantity, "phase1_ultra", against="baseline_small") == value


def test_a_part_is_compared_with_the_same_part(count):
    """Not with the whole of the other model."""
    found = count("total_ratio", "phase8_push", against="phase8_push_dense", part="head")
    assert found == 1


@pytest.mark.parametrize(("given", "width"), [({}, 2), ({"dtype": "float32"}, 4)])
def test_the_size_is_the_count_in_bytes(count, given, width):
    """Of half precision, as the documents had it, or of float32."""
    assert count("size", "phase1_ultra", **given) == width * count("total", "phase1_ultra")
