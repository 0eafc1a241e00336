"""Every preset can be found, resized and built, and is refused in one line when it cannot."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch._subclasses import FakeTensorMode

import muse.models
from muse.errors import UsageError
from muse.memory.workload import making
from muse.models import OWN, PRESETS, REGISTERED, WIDTH_STEP, Subjects, build, config, width_step
from muse.nn.lowrank import EMBEDDING_DIVISOR, FFN_DIVISOR

FILES = sorted(f"muse.models.{p.stem}" for p in Path(muse.models.__file__).parent.glob("[!_]*.py"))


def test_the_registry_lists_exactly_what_the_modules_hold():
    """Every preset is found in the file that the registry names, and none is forgotten."""
    assert {name: module for module in FILES for name in import_module(module).PRESETS} == PRESETS


def test_the_registry_loads_without_torch():
    """Names are enough for a ledger."""
    code = "import sys, muse.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_built_from_its_own_configuration(name):
    """With the width, the layers and the words that it states."""
    with torch.device("meta"):
        model = build(name)
    assert model.shape == config(name).shape == import_module(PRESETS[name]).PRESETS[name].shape
    assert len(model.blocks) == model.shape.layers
    assert all(p.is_meta for p in model.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_resized(name):
    """Width and layers change, and nothing else of the configuration."""
    with torch.device("meta"):
        model = build(name, d_model=192, layers=1)
        logits = model(torch.zeros(2, 5, dtype=torch.long))
    assert (model.shape.d_model, len(model.blocks)) == (192, 1)
    assert logits.shape == (2, 5, config(name).shape.vocabulary)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_without_data(name):
    """Fake tensors pass forward and backward: nothing reads a value."""
    with FakeTensorMode():
        model = build(name, d_model=192, layers=1).train()
        model(torch.zeros(2, 5, dtype=torch.long)).sum().backward()
        unused = [key for key, p in model.named_parameters() if p.grad is None]
    assert unused == (["blocks.0.potential"] if name == "phase2" else [])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_follows_the_default_dtype(name):
    """No parameter has a dtype of its own."""
    with making(torch.device("meta"), "float16"):
        assert {p.dtype for p in build(name, layers=1).parameters()} == {torch.float16}


@pytest.mark.parametrize("call", [build, config])
def test_an_unknown_preset_is_refused_with_those_there_are(call):
    """The message lists every preset, in one line."""
    with pytest.raises(UsageError) as caught:
        call("phase9_huge")
    message = str(caught.value)
    assert "\n" not in message
    assert "'phase9_huge'" in message
    assert all(name in message for name in PRESETS)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("phase7_maximum", {"d_model": 4100}, "phase7_maximum: d_model must be a multiple of 32, not 4100"),
        ("phase8_push", {"d_model": 3080}, "phase8_push: d_model must be a multiple of 24, not 3080"),
        ("phase1_ultra", {"d_model": 36}, "phase1_ultra: d_model must be a multiple of 8, not 36"),
        ("baseline", {"layers": 0}, "baseline: a size must be at least 1, not layers 0"),
        ("baseline", {"d_model": -8, "layers": 2}, "baseline: a size must be at least 1, not d_model -8"),
    ],
)
def test_a_size_that_cannot_be_is_refused(name, size, message):
    """Before anything is built, in one line that says what is allowed."""
    with pytest.raises(UsageError) as caught:
        build(name, **size)
    assert str(caught.value) == message


def test_the_step_of_widths_is_divided_by_every_divisor():
    """Whatever part of a width a network takes, nothing is left over."""
    assert [WIDTH_STEP % n for n in (EMBEDDING_DIVISOR, FFN_DIVISOR)] == [0, 0]


@pytest.mark.parametrize(("name", "divisor"), [("phase1_ultra", 8), ("baseline", 8), ("phase7_maximum", 32)])
def test_a_width_is_a_multiple_of_its_divisor(name, divisor):
    """And no width between is allowed."""
    assert config(name, d_model=5 * divisor).shape.d_model == 5 * divisor
    for width in (4 * divisor + 1, 4 * divisor + divisor // 2):
        with pytest.raises(UsageError, match="d_model"):
            config(name, d_model=width)


@pytest.mark.parametrize(("name", "step"), [("phase1_ultra", 8), ("baseline", 64), ("phase7_maximum", 256)])
def test_a_step_of_widths_keeps_the_heads_fit_for_fused_attention(name, step):
    """Every width that is searched has heads of a multiple of 8."""
    assert width_step(name) == step
    assert step // config(name).shape.heads == 8


@pytest.fixture
def subjects(monkeypatch):
    """What a project registers with; it is forgotten again."""
    monkeypatch.setenv(REGISTERED, "{}")
    own, presets = dict(OWN), dict(PRESETS)
    yield Subjects()
    for table, before in ((OWN, own), (PRESETS, presets)):
        table.clear()
        table.update(before)


def test_a_network_of_a_project_is_built_by_name(subjects):
    """With its own vocabulary, here and in every process that this one starts."""
    subjects.network("bilinear", "torch.nn:Identity", vocabulary=7)
    assert isinstance(build("bilinear"), torch.nn.Identity)
    code = "from muse.models import config; print(config('bilinear').shape.vocabulary)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "7\n"


def test_a_network_may_be_registered_twice_alike(subjects):
    """By a hook and by a module."""
    for _ in range(2):
        subjects.network("twice", "torch.nn:Identity", vocabulary=7)
    assert OWN["twice"].vocabulary == 7


@pytest.mark.parametrize(
    ("name", "source", "vocabulary", "told"),
    [
        ("phase1", "torch.nn:Identity", 7, "network 'phase1' is registered already, for muse.models.max_parameters"),
        ("mine", "torch.nn.Identity", 7, "must read like package.module:name, not 'torch.nn.Identity'"),
        ("mine", "torch.nn:a.b", 7, "must read like package.module:name"),
        ("mine", "torch.nn:Identity", 0, "the vocabulary must be at least 1, not 0"),
    ],
)
def test_a_wrong_registration_is_one_line(subjects, name, source, vocabulary, told):
    """And registers nothing."""
    before = dict(PRESETS)
    with pytest.raises(UsageError, match=told):
        subjects.network(name, source, vocabulary=vocabulary)
    assert before == PRESETS


def test_a_network_of_a_project_has_one_size(subjects):
    """A size is none of its own to change."""
    subjects.network("fixed", "torch.nn:Identity", vocabulary=7)
    with pytest.raises(UsageError, match="fixed: a network of your own has one size; it cannot have another layers"):
        config("fixed", layers=2)


def test_a_source_that_its_module_lacks_is_one_line(subjects):
    """Only once it is asked for."""
    subjects.network("gone", "torch.nn:Idendity", vocabulary=7)
    with pytest.raises(UsageError, match=r"network 'gone': module torch\.nn has no 'Idendity'"):
        build("gone")


def test_a_module_that_is_not_here_is_one_line(subjects):
    """A misspelt one, or one that it needs itself."""
    subjects.network("lost", "modle:Tiny", vocabulary=7)
    with pytest.raises(UsageError, match="lost: modle needs the module 'modle', which is not here"):
        build("lost")
