"""What a network keeps or has more than another shows in its predicted bytes."""

import pytest
import torch

from muse.models import phase7, phase8
from muse.nn.shape import Shape
from muse.probes import predicted_memory
from muse.probes.bench import Bench

SHAPE = Shape(d_model=256, layers=2, heads=2, vocabulary=10000)
"""Wide enough for whole blocks of 512 bytes; with so many words that the logits make the peak."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Both phases' standard presets, small."""
    monkeypatch.setitem(phase7.PRESETS, "phase7_standard", phase7.Config(SHAPE))
    monkeypatch.setitem(phase8.PRESETS, "phase8_standard", phase8.Config(SHAPE))


@pytest.fixture
def read(ask):
    """One quantity of a preset."""
    return lambda quantity, model, **given: ask("predicted_memory", quantity, "B", model=model, **given).value


def test_a_leaked_tensor_raises_the_peak_by_its_size(a_claim, settings, tmp_path, monkeypatch):
    """A mebibyte that each block keeps is a mebibyte per block more activation, and no more model."""

    def read(run, quantity):
        claim = a_claim("predicted_memory", quantity, "B", given={"model": "phase8_standard"})
        return predicted_memory.measure(claim, Bench(settings, tmp_path / run)).value

    before = [read("before", quantity) for quantity in ("model", "activation")]
    real = phase8.build
    monkeypatch.setattr(phase8, "build", lambda config: leaking(real(config)))
    after = [read("after", quantity) for quantity in ("model", "activation")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [0, SHAPE.layers * 2**20]


def leaking(model):
    """Make every block keep a mebibyte of its own from each pass."""

    def keep(block, args, out):
        block.kept = torch.empty(2**20, dtype=torch.uint8, device=out.device)

    for block in model.blocks:
        block.register_forward_hook(keep)
    return model


def test_phase8_holds_its_curvatures_more(read):
    """One block of the allocator per layer."""
    assert read("model_difference", "phase8_standard", against="phase7_standard") == SHAPE.layers * 512
