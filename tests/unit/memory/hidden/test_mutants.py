"""One altered constant in each model of hidden memory turns the comparison with the card red."""

from dataclasses import replace

import pytest

from muse.memory.card import card

SDPA = "aten._scaled_dot_product_"
SUM, STD = "aten.sum.dim_IntList", "aten.std.correction"
LAYER_NORM = "aten.native_layer_norm_backward.default"
EFFICIENT, FLASH = f"{SDPA}efficient_attention_backward.default", f"{SDPA}flash_attention.default"


@pytest.mark.parametrize(
    ("constant", "name", "value"),
    [
        ("reductions.LEAST_VALUES", SUM, 8),
        ("reductions.MOST_VALUES", SUM, 512),
        ("reductions.THREADS", SUM, 256),
        ("reductions.WARP", SUM, 64),
        ("attention.MOST_SPLITS", EFFICIENT, 400),
        ("operands.MANY_ROWS", LAYER_NORM, 128 * 1024),
        ("operands.PARTS", LAYER_NORM, 2**19),
    ],
)
def test_an_altered_constant_is_seen(monkeypatch, misses, constant, name, value):
    """Twice as much, or half of it."""
    monkeypatch.setattr(f"muse.memory.hidden.{constant}", value)
    assert any(misses(name))


@pytest.mark.parametrize(("widest", "kind"), [(128, "cudnn"), (512, "efficient")])
def test_another_limit_of_the_head_s_width_is_seen(monkeypatch, unpicked, widest, kind):
    """Another attention would be picked than ran."""
    monkeypatch.setattr("muse.memory.hidden.attention.WIDEST", widest)
    assert any(unpicked(kind))


@pytest.mark.parametrize(
    ("fact", "value", "name"),
    [
        ("multiprocessors", 108, SUM),
        ("multiprocessors", 108, STD),
        ("multiprocessors", 4, FLASH),
        ("threads_per_multiprocessor", 1536, SUM),
        ("threads_per_multiprocessor", 1536, STD),
        ("shared_memory", 101376, EFFICIENT),
    ],
)
def test_another_card_is_seen(misses, fact, value, name):
    """The figures of an A100 and of consumer cards, and of a card so small that no keys are split."""
    assert any(misses(name, replace(card("h100"), **{fact: value})))


def test_another_compute_capability_is_seen(unpicked):
    """Before Hopper, flash attention comes first."""
    assert any(unpicked("cudnn", replace(card("h100"), capability=(8, 0))))
