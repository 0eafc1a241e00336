"""What a training step needs follows its optimizer, its loss, its checkpoints, and the way the model was loaded."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from muse.memory.card import card
from muse.memory.optimizers import OPTIMIZERS, AdamW8bit
from muse.memory.predict import predict, predict_documented
from muse.memory.tracker import Tracker
from muse.memory.workload import Workload

V, D = 128, 64
N = 1000
LAYER = D * D
"""Parameters of one map without bias; in float32 a multiple of 512 bytes."""


class Stack(nn.Module):
    """An embedding and maps, each behind a checkpoint if told so; `scale` is a parameter of its own."""

    def __init__(self, layers: int, *, recompute: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3 * LAYER))
        self.embedding = nn.Embedding(V, D)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(D, D, bias=False), nn.GELU()) for _ in range(layers))
        self.head = nn.Linear(D, V, bias=False)
        self.recompute = recompute

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.recompute else layer(x)
        return self.head(x * self.scale[0])


def step(layers: int = 4, *, recompute: bool = False, **stated):
    """Return the footprint of a training step."""
    build = partial(Stack, layers, recompute=recompute)
    return predict(Workload(build, V, **{"tokens": N, "dtype": "float32", "train": True, **stated}), 0, card("h100"))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_can_be_predicted(name):
    """And the same twice, although none of its steps has a value."""
    assert step(optimizer=name) == step(optimizer=name)


@pytest.mark.parametrize("name", ["adamw8bit", "adamw8bit_in_backward"])
def test_slices_alike_are_predicted_as_if_each_were_run(monkeypatch, name):
    """Which saves two thirds of a prediction's time, and no byte."""
    monkeypatch.setattr(AdamW8bit, "SLICE", 4 * AdamW8bit.BLOCK)
    remembered = step(optimizer=name)
    monkeypatch.setattr(Tracker, "remembered", lambda _, function: function)
    assert remembered == step(optimizer=name)


def test_optimizers_are_told_apart_by_what_they_keep():
    """Two moments, two bytes and two scales, a row and a column, and nothing."""
    names = ("adamw", "adamw8bit", "adafactor", "sgd")
    kept = [step(optimizer=name).by_kind["optimizer"] for name in names]
    parameters = step().by_kind["parameters"]
    assert kept[0] == 2 * parameters
    assert kept[1] == 2 * parameters // 4 + 7 * 2 * 512  # two blocks of scales for each of seven parameters
    assert kept[3] == 0
    assert sorted(kept, reverse=True) == kept


def test_an_optimizer_in_backward_never_holds_all_gradients():
    """A gradient is dropped as soon as its parameter is updated, and the peak is lower for it."""
    plain, early = (step(layers=16, tokens=8, optimizer=name) for name in ("adamw", "adamw_in_backward"))
    assert plain.by_kind["gradients"] == plain.by_kind["parameters"]
    assert early.by_kind["gradients"] <= 3 * LAYER * 4
    assert early.by_kind["optimizer"] == plain.by_kind["optimizer"]
    assert early.total_bytes < plain.total_bytes


def test_a_checkpointed_network_needs_less():
    """Of each layer it keeps the input alone, and holds one layer's inside at a time."""
    assert step(16, recompute=True).total_bytes < 0.65 * step(16).total_bytes


def test_checkpoints_keep_one_input_per_layer():
    """Twelve layers more are twelve inputs more, where otherwise they are those and twelve inputs of GELU."""
    for recompute, kept in ((True, 1), (False, 2)):
        few, many = (step(n, recompute=recompute, optimizer="none").by_kind["activations"] for n in (4, 16))
        assert many - few == 12 * kept * N * D * 4


def test_outside_of_training_nothing_is_kept_to_recompute():
    """A forward pass needs the same with checkpoints and without."""
    assert step(recompute=True, train=False) == step(recompute=False, train=False)


def test_the_sum_of_the_logits_keeps_them_alive():
    """Through its whole backward pass, in which cross-entropy drops them at once."""

    class Wide(nn.Sequential):
        """A head, and behind it a last gradient larger than the logits."""

        def __init__(self) -> None:
            super().__init__(nn.Embedding(V, D), nn.Linear(D, 16 * D, bias=False), nn.Linear(16 * D, V, bias=False))

    found = predict(Workload(Wide, V, N, dtype="float32", train=True, optimizer="none", loss="sum"), 0, card("h100"))
    logits = N * V * 4
    hidden = N * 16 * D * 4
    ids = 8192
    inputs = N * D * 4
    loss, its_gradient = 512, 512
    head = 16 * D * V * 4  # its gradient, not yet accumulated
    assert found.by_kind["activations"] == ids + inputs + 2 * hidden + logits + loss + its_gradient + head


def loading(build, vocabulary=V, **stated):
    """Return the footprint by the documents' procedure, whose peak includes loading, of a pass over two tokens."""
    what = Workload(build, vocabulary, 2, **stated)
    return predict_documented([what], "before_loading", 0, card("h100"))[0]


def test_a_model_through_float32_needs_all_of_it_and_the_first_copy():
    """That of the first parameter converted: a child's, not its parent's."""
    found = loading(partial(Stack, 4), through_float32=True)
    assert found.total_bytes == 2 * found.model_bytes + V * D * 2
    assert found.model_bytes == loading(partial(Stack, 4)).model_bytes


def test_the_largest_moment_of_loading_may_come_later():
    """A small parameter first frees less than a large one then takes."""

    def build():
        return nn.Sequential(nn.Embedding(V, 4), nn.Linear(4, 4096, bias=False))

    first, second = V * 4, 4 * 4096
    assert loading(build, through_float32=True).total_bytes == 4 * (first + second) - 2 * first + 2 * second


def test_float32_through_float32_is_no_conversion():
    """Nothing is copied where nothing changes."""
    made, converted = (loading(partial(Stack, 4), dtype="float32", through_float32=way) for way in (False, True))
    assert converted == made


def test_the_fused_inference_path_is_back_after_a_prediction():
    """It is switched off while one is made."""
    before = torch.backends.mha.get_fastpath_enabled()
    step(train=False)
    assert torch.backends.mha.get_fastpath_enabled() is before is True
