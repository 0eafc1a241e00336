"""Which mode a curvature selects is read off the output, and its error is against the definition."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from muse.claims.claim import Scope
from muse.models import phase8
from muse.models.phase8 import Config, TangentSpaceLinearAttention


@pytest.fixture
def at(ask):
    """One quantity at a curvature."""
    return lambda quantity, c, **given: ask("curvature", quantity, "times", curvature=str(c), **given).value


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("c", "share"),
    [
        (0.01, 0),
        (0.0999, 0),
        (0.1, 0),
        (0.5, 0),
        (0.54, 0),
        (0.56, 0.46 / 0.9),
        (0.6, 5 / 9),
        (0.9, 8 / 9),
        (1.0, 1),
        (1.01, 1),
        (2.0, 1),
    ],
)
def test_the_share_of_the_exact_part_is_the_one_that_was_mixed_in(at, c, share, causal):
    """By least squares from the output alone: (c - 0.1) / 0.9 above one half, nothing below, everything beyond 1."""
    assert float(at("exact_share", c, causal=causal)) == pytest.approx(share, abs=1e-8)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("c", [1.01, 2.0])
def test_the_exact_mode_agrees_with_the_definition(at, c, causal):
    """Two formulations of the distance in float64: difference vectors and arcosh, or arsinh of coordinates."""
    assert at("exact_error", c, causal=causal) < 1e-10


@pytest.mark.parametrize("c", [0.01, 0.5])
def test_in_the_linear_mode_both_errors_are_the_same(at, c):
    """The output is the tangent approximation, so both are its error."""
    assert at("exact_error", c) == pytest.approx(at("tangent_error", c))


def test_in_the_exact_mode_the_tangent_error_is_still_the_linear_part_s(at):
    """It says how good the approximation would be, whatever mode is on."""
    assert at("tangent_error", 1.5) > 0.1 > at("exact_error", 1.5)


def test_the_error_of_the_linear_part_does_not_vanish_with_the_curvature(at):
    """Another kernel than softmax stays another kernel in flat space."""
    assert min(at("tangent_error", c) for c in (1e-4, 1e-2)) > 0.1


def test_the_same_claim_gives_the_same_value(at):
    """The inputs are drawn from a seed of the probe's own."""
    first = at("tangent_error", 0.05)
    torch.rand(7)
    assert at("tangent_error", 0.05) == first


def test_the_evidence_is_exact(ask):
    """It is computed in float64, with nothing measured or predicted."""
    found = ask("curvature", "exact_share", "percent", curvature="0.01")
    assert (found.scope, found.how["dtype"]) == (Scope.EXACT, "float64")


@pytest.mark.parametrize(
    ("threshold", "id_"),
    [
        ({"low_curvature": 0.9}, "phase7_vs_phase8/hybrid_mixes[c0.6]"),
        ({"low_curvature": 0.9}, "phase7_vs_phase8/hybrid_at_curvature_one"),
        ({"low_curvature": 0.001, "high_curvature": 0.005}, "phase7_vs_phase8/linear_mode_forced"),
        ({"low_curvature": 0.001, "high_curvature": 0.08}, "phase7_vs_phase8/linear_only_at_low_curvature[c0.05]"),
        ({"high_curvature": 0.15}, "phase7_vs_phase8/hybrid_mixes[c0.9]"),
        ({"high_curvature": 0.6}, "phase7_vs_phase8/hybrid_mixes[c0.5]"),
        ({"high_curvature": 3.0}, "phase7_vs_phase8/exact_mode[c1.01]"),
        ({"high_curvature": 4.0}, "phase7_vs_phase8/mode_adapts"),
    ],
)
def test_another_threshold_turns_a_claim_of_the_real_ledger(decided, monkeypatch, threshold, id_):
    """A mode that begins elsewhere changes a verdict."""
    record = decided(id_)[id_]
    assert record.verdict.status is record.claim.recorded
    if id_.endswith("hybrid_at_curvature_one"):
        threshold = {**threshold, "high_curvature": 2.0}
    monkeypatch.setattr(phase8, "Config", partial(Config, **threshold))
    assert decided(id_)[id_].verdict.status is not record.claim.recorded


def test_a_wrong_exact_part_is_an_error(at, monkeypatch):
    """Scores of half the distance are no longer the definition."""
    real = TangentSpaceLinearAttention.exact
    monkeypatch.setattr(TangentSpaceLinearAttention, "exact", lambda self, q, k, v, c: real(self, q, k / 2, v, c))
    assert at("exact_error", 1.5) > 1e-3


def test_the_measured_layer_is_the_one_that_the_presets_use():
    """The same class and thresholds as in the networks; only its size is the probe's own."""
    from muse.probes.curvature import SHAPE

    ours, theirs = Config(SHAPE), phase8.PRESETS["phase8_maximum"]
    assert replace(theirs, shape=SHAPE) == ours
