"""`muse predict` and `muse measure`: what they print, and what they refuse."""

import json

import pytest

from muse import machine
from muse.errors import UsageError
from muse.machine import Gpu

CARD = Gpu(0, "GPU-aaaa", "NVIDIA RTX 3080", 8 * 2**30, "550.1")


def test_a_prediction_is_the_sum_of_its_kinds(muse):
    """All five, in bytes; without a budget nothing is said about fitting."""
    facts = json.loads(muse("predict", "phase8_standard", "--json")[1])
    assert set(facts["by_kind"]) == {"parameters", "gradients", "optimizer", "activations", "workspace"}
    assert facts["total_bytes"] == sum(facts["by_kind"].values()) > 2 * 2**30
    assert (facts["scope"], "fits" in facts) == ("predicted", False)


@pytest.mark.parametrize(("budget", "fits"), [("2GiB", False), ("3GiB", True)])
def test_a_budget_adds_whether_the_model_fits(muse, budget, fits):
    """Compared in bytes, and told in words too."""
    facts = json.loads(muse("predict", "phase8_standard", "--budget", budget, "--json")[1])
    assert (facts["budget_bytes"], facts["fits"]) == (int(budget[0]) * 2**30, fits)
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
    assert json.loads(muse("predict", "phase8_standard", "--budget", "80GiB", "--json")[1])["fits"] is True


def test_measuring_without_a_gpu_is_exit_code_3_in_one_line(muse):
    """It says what to use instead."""
    code, out, errors = muse("measure", "phase8_standard")
    assert (code, out, len(errors)) == (3, "", 1)
    assert "no_gpu" in errors[0]
    assert "muse predict" in errors[0]
