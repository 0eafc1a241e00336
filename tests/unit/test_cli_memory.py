"""`muse predict`, `muse measure` and `muse fit`: what they print, and what they refuse."""

import json
from pathlib import Path

import pytest

from muse import machine
from muse.errors import Unmeasured, UsageError
from muse.machine import Gpu
from muse.memory import peak
from muse.memory.optimizers import OPTIMIZERS
from muse.memory.peak import Peak
from muse.models import phase8
from muse.nn.shape import Shape
from muse.probes import capacity
from muse.store import files

CARD = Gpu(0, "GPU-aaaa", "NVIDIA RTX 3080", 8 * 2**30, "550.1")


def test_a_prediction_is_the_sum_of_its_kinds(muse):
    """All six, in bytes; without a budget nothing is said about fitting."""
    facts = json.loads(muse("predict", "phase8_standard", "--json")[1])
    assert set(facts["by_kind"]) == {"parameters", "gradients", "optimizer", "activations", "scratch", "workspace"}
    assert facts["total_bytes"] == sum(facts["by_kind"].values()) > 2 * 2**30
    assert (facts["scope"], "fits" in facts) == ("predicted", False)


@pytest.mark.parametrize(("budget", "fits"), [("2GiB", False), ("3GiB", True)])
def test_a_budget_adds_whether_the_model_fits(muse, budget, fits):
    """Compared in bytes, and told in words and by the exit code too."""
    code, out, _ = muse("predict", "phase8_standard", "--budget", budget, "--json")
    facts = json.loads(out)
    assert (facts["budget_bytes"], facts["fits"], code) == (int(budget[0]) * 2**30, fits, 0 if fits else 5)
    last = muse("predict", "phase8_standard", "--budget", budget)[1].splitlines()[-1]
    assert last.endswith("fits" if fits else "does not fit")


def test_a_budget_above_the_card_is_refused(muse, monkeypatch):
    """Naming the card, before anything is measured."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    code, _, errors = muse("measure", "phase8_standard", "--budget", "9GiB")
    assert (code, len(errors)) == (2, 1)
    assert "above the 8,589,934,592 B of NVIDIA RTX 3080" in errors[0]
    with pytest.raises(UsageError):
        machine.check_budget(9 * 2**30)


def test_a_prediction_may_be_for_another_card(muse, monkeypatch):
    """What fits there has nothing to do with the card that is here."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    facts = json.loads(muse("predict", "phase8_standard", "--card", "h100", "--budget", "80GiB", "--json")[1])
    assert (facts["card"], facts["fits"]) == ("h100", True)


def test_measuring_without_a_gpu_is_exit_code_3_in_one_line(muse):
    """It says what to use instead."""
    code, out, errors = muse("measure", "phase8_standard")
    assert (code, out, len(errors)) == (3, "", 1)
    assert "no_gpu" in errors[0]
    assert "muse predict" in errors[0]


FIT = ("fit", "phase8_standard", "--budget", "32MiB", "--tokens", "16")


@pytest.fixture
def small(monkeypatch):
    """Phase 8's standard preset, small."""
    monkeypatch.setitem(phase8.PRESETS, "phase8_standard", phase8.Config(Shape(512, 1, 2, 1000)))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("optimizer", "per_parameter"), [("adamw", 4), ("sgd", 0), ("none", 0)])
def test_a_training_step_is_predicted_with_its_optimizer(muse, optimizer, per_parameter):
    """AdamW keeps twice the bytes of half-precision parameters."""
    facts = json.loads(muse("predict", "phase8_standard", "--train", "--optimizer", optimizer, "--json")[1])
    assert facts["optimizer"] == optimizer
    assert facts["by_kind"]["optimizer"] == per_parameter // 2 * facts["by_kind"]["parameters"]


@pytest.mark.usefixtures("small")
def test_a_forward_pass_has_no_optimizer(muse):
    """None is named where none runs."""
    facts = json.loads(muse("predict", "phase8_standard", "--json")[1])
    assert (facts["optimizer"], facts["by_kind"]["optimizer"]) == (None, 0)


def test_measuring_takes_the_optimizer_too(muse, monkeypatch):
    """It reaches the process that measures."""
    asked = []

    def isolate(function, what, cap, *, environment, timeout):
        asked.append((function, what.train, what.optimizer, cap))
        return Peak(1, 2, 3, 0, 4, None, {"parameters": 3})

    monkeypatch.setattr("muse.memory.isolate.isolate", isolate)
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    words = ("measure", "phase8_standard", "--train", "--optimizer", "adafactor_in_backward", "--json")
    code, out, _ = muse(*words)
    assert (code, json.loads(out)["optimizer"]) == (0, "adafactor_in_backward")
    assert asked == [(peak.sound, True, "adafactor_in_backward", None)]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_fit_without_a_gpu_is_a_prediction_and_an_unmeasured_record(muse, mode):
    """That is no failure: this machine was never going to measure it."""
    code, out, errors = muse(*FIT, "--mode", mode, "--json")
    facts = json.loads(out)
    assert (code, errors) == (0, [])
    assert (facts["verdict"], facts["reason"], facts["measured"]) == ("unmeasured", "no_gpu", None)
    assert facts["predicted"]["varied"] == "width"
    [record] = files.read(Path(facts["record"]))
    assert record.claim.id.startswith(f"fit/{mode}[phase8_standard-33554432B-16tokens-width")
    assert record.claim.given["budget"] == facts["budget"] == 32 * 2**20
    assert record.claim.documented == facts["predicted"]["parameters"]


@pytest.mark.usefixtures("small")
def test_a_fit_says_in_lines_what_is_known_and_what_is_not(muse):
    """The prediction, why there is no measurement, the verdict, and where its record is."""
    code, out, _ = muse(*FIT, "--mode", "inference")
    heading, *lines = out.splitlines()
    assert (code, heading) == (0, "phase8_standard under 32MiB, 16 tokens, width varied")
    told = dict(line.split(maxsplit=1) for line in lines)
    assert list(told) == ["predicted", "measured", "verdict", "record"]
    assert told["predicted"].endswith(" parameters, width 1024")
    assert told["measured"] == "no NVIDIA GPU is visible to its driver"
    assert told["verdict"] == "unmeasured, no_gpu"


@pytest.mark.usefixtures("small")
def test_training_leaves_room_for_a_smaller_model_and_a_frugal_optimizer_for_a_larger_one(muse):
    """Under the same budget."""
    words = [("inference",), ("training", "--optimizer", "sgd_in_backward"), ("training",)]
    found = [json.loads(muse(*FIT, "--json", "--mode", *mode)[1])["predicted"]["parameters"] for mode in words]
    assert found == sorted(set(found), reverse=True)


@pytest.mark.usefixtures("small")
def test_the_depth_may_be_varied_instead_of_the_width(muse):
    """Layers are counted, not their width."""
    facts = json.loads(muse(*FIT, "--mode", "inference", "--vary", "layers", "--json")[1])
    assert facts["vary"] == facts["predicted"]["varied"] == "layers"


@pytest.fixture
def card(monkeypatch):
    """A GPU on which widths up to a stated one run under the cap, or which fails for a stated reason."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))

    def of(edge, failure="out_of_memory"):
        def isolate(function, what, cap, *, environment, timeout):
            if what.build.keywords["d_model"] > edge:
                raise Unmeasured(failure, "CUDA said so")

        monkeypatch.setattr(capacity, "isolate", isolate)

    return of


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("edge", "code", "verdict"), [(1024, 0, "confirmed"), (400, 1, "refuted")])
def test_a_fit_on_a_gpu_confirms_its_prediction_or_changes_the_verdict(muse, card, edge, code, verdict):
    """What ran under the cap is the answer, and the exit code says whether it was expected."""
    card(edge)
    ended, out, _ = muse(*FIT, "--mode", "inference", "--json")
    facts = json.loads(out)
    assert (ended, facts["verdict"], facts["measured"]["size"]) == (code, verdict, edge)


@pytest.mark.usefixtures("small")
def test_a_fit_that_fails_on_the_gpu_is_recorded_with_its_reason(muse, card):
    """The prediction is printed all the same, and the exit code is that of a failed measurement."""
    card(0, failure="driver_error")
    code, out, _ = muse(*FIT, "--mode", "inference")
    told = dict(line.split(maxsplit=1) for line in out.splitlines()[1:])
    assert (code, told["verdict"], told["measured"]) == (3, "unmeasured, driver_error", "CUDA said so")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*FIT, "--mode", "inference", "--budget", "1MiB"), "not even the smallest size, 16, fits the budget"),
        ((*FIT, "--mode", "inference", "--budget", "lots"), "'lots' is not an amount of memory"),
        (("fit", "phase9", "--budget", "24MiB", "--mode", "inference"), "unknown model 'phase9'; allowed are baseline"),
        ((*FIT, "--mode", "training", "--optimizer", "lion"), f"unknown optimizer 'lion'; allowed are {OPTIMIZERS[0]}"),
        ((*FIT, "--mode", "training", "--tokens", "1"), "tokens must be at least 2"),
        (
            ("predict", "phase8_standard", "--train", "--optimizer", "lion"),
            "unknown optimizer 'lion'; allowed are none",
        ),
        (
            ("measure", "phase8_standard", "--train", "--optimizer", "lion"),
            "unknown optimizer 'lion'; allowed are none",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(muse, words, told):
    """With exit code 2 and nothing else on the screen."""
    code, out, errors = muse(*words)
    assert (code, out, len(errors)) == (2, "", 1)
    assert told in errors[0]


@pytest.mark.parametrize("mode", ["sleeping", None])
def test_a_fit_needs_a_mode_that_it_knows(muse, mode):
    """A model for inference is no model for training; nothing is assumed."""
    code, out, errors = muse(*FIT, *(["--mode", mode] if mode else []))
    told = " ".join(errors)
    assert (code, out) == (2, "")
    assert "--mode" in told
    assert "inference" in told or mode is None


def test_a_budget_above_the_card_cannot_be_fitted(muse, monkeypatch):
    """Its cap could not be imposed."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    code, _, errors = muse("fit", "phase8_standard", "--budget", "9GiB", "--mode", "inference")
    assert (code, len(errors)) == (2, 1)


def test_an_optimizer_belongs_to_training(muse, tmp_path):
    """Inference has none, and no run is begun."""
    code, _, errors = muse(*FIT, "--mode", "inference", "--optimizer", "sgd")
    assert (code, errors) == (2, ["muse: --optimizer sgd belongs to --mode training; inference has none"])
    assert not (tmp_path / "runs").exists()


def test_a_fit_of_nothing_leaves_no_run(muse, tmp_path):
    """A budget below the smallest model is a wrong request, not a measurement."""
    code, _, errors = muse("fit", "phase8_standard", "--budget", "1KiB", "--mode", "inference")
    assert (code, len(errors)) == (2, 1)
    assert not any((tmp_path / "runs").iterdir())
