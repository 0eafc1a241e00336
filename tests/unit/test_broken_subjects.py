"""Claims can fail: break the measured network, and the documents' claims about it change their verdicts.

Everything here runs without a GPU, on claims of the real ledger, by the probes that they name.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from muse.models import phase8
from muse.models.phase7 import SoftmaxAttention
from muse.nn import lowrank
from muse.verify import Run, changed, verify

FAIR, FINAL = "phase7_vs_phase8", "phase7_vs_phase8_final"
UNTOUCHED = (
    f"{FAIR}/parameters_exact[standard-phase7]",
    f"{FAIR}/phase7_quadratic",
    f"{FAIR}/mixing_share[phase7]",
    f"{FINAL}/layers[standard-phase7]",
    f"{FINAL}/embedding_compression",
)
"""Claims about Phase 7, and about the documents' own figures, which no change of Phase 8 may move."""


@pytest.fixture(scope="module")
def intact(tmp_path_factory, settings, real_ledger):
    """The record of a claim about the network as it is, decided once for all tests."""
    claims, run = {claim.id: claim for claim in real_ledger.claims}, Run(settings, tmp_path_factory.mktemp("intact"))
    return cache(lambda id_: verify(claims[id_], run))


@pytest.fixture
def turned(intact, decided, monkeypatch):
    """Which of some claims, all as recorded before, change when Phase 8's network is broken."""

    def of(broken, *ids):
        assert [id_ for id_ in (*ids, *UNTOUCHED) if changed(intact(id_))] == []
        with monkeypatch.context() as patch:
            broken(patch)
            after = decided(*ids, *UNTOUCHED)
        assert all(record.verdict.status != "unmeasured" for record in after.values())
        return {id_ for id_, record in after.items() if changed(record)}

    return of


def resized(**changes):
    """Return a break that gives every preset of Phase 8 another shape."""

    def broken(patch):
        for name, config in phase8.PRESETS.items():
            found = {key: change(getattr(config.shape, key)) for key, change in changes.items()}
            patch.setitem(phase8.PRESETS, name, replace(config, shape=replace(config.shape, **found)))

    return broken


def rebuilt(change):
    """Return a break that changes every network of Phase 8 once it is built."""

    def broken(patch):
        real = phase8.build
        patch.setattr(phase8, "build", lambda config: change(real(config)))

    return broken


def ranked(divisor, value):
    """Return a break that gives the networks of Phase 8, and no other, another rank."""

    def broken(patch):
        real = phase8.build

        def build(config):
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(lowrank, divisor, value)
                return real(config)

        patch.setattr(phase8, "build", build)

    return broken


def leaking(model):
    """Make every block keep a copy of its output."""

    def keep(block, args, out):
        block.kept = out.clone()

    for block in model.blocks:
        block.register_forward_hook(keep)
    return model


def in_float32(model):
    """Make every parameter four bytes wide."""
    for name, parameter in list(model.named_parameters()):
        home, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(home), leaf, nn.Parameter(parameter.float()))
    return model


def with_attention_of_phase7(patch):
    """Swap the attention that Phase 8 is named for."""
    patch.setattr(phase8, "attention", lambda config: SoftmaxAttention(config.shape))


def test_one_layer_more_turns_every_count_of_phase8(turned):
    """Parameters, layers, modules, and the memory of weights."""
    ids = {
        f"{FAIR}/parameters[standard-phase8]",
        f"{FAIR}/parameters_exact[standard-phase8]",
        f"{FAIR}/parameters_exact[maximum-phase8]",
        f"{FAIR}/parameters_one_per_layer[standard]",
        f"{FAIR}/parameters_change[standard]",
        f"{FAIR}/one_to_one_replacement[phase8]",
        f"{FAIR}/model_vram_predicted[standard-phase8]",
        f"{FAIR}/peak_vram_predicted[standard-phase8]",
        f"{FAIR}/breakdown_peak_predicted[standard]",
        f"{FAIR}/breakdown_size[standard]",
        f"{FINAL}/layers[standard-phase8]",
        f"{FINAL}/peaks_equal[standard]",
        f"{FINAL}/peaks_equal_relative[standard]",
    }
    assert turned(resized(layers=lambda n: n + 1), *ids) == ids


def test_a_wider_network_turns_its_width(turned):
    """The width is read off the embedding as built."""
    ids = {f"{FINAL}/width[standard-phase8]", f"{FAIR}/parameters[standard-phase8]"}
    assert turned(resized(d_model=lambda d: d + 128), *ids) == ids


def test_another_rank_turns_the_shares_that_it_saves(turned):
    """Of the feed-forward network, and of the parameters; the embedding's share stays."""
    ids = {f"{FAIR}/ffn_compression_corrected[maximum]", f"{FAIR}/parameters_exact[maximum-phase8]"}
    kept = f"{FAIR}/embedding_compression_corrected[maximum]"
    assert turned(ranked("FFN_DIVISOR", 4), *ids, kept) == ids


def test_another_rank_of_the_embedding_turns_its_share(turned):
    """And leaves that of the feed-forward network."""
    ids = {f"{FAIR}/embedding_compression_corrected[{size}]" for size in ("maximum", "large", "deep", "standard")}
    kept = f"{FAIR}/ffn_compression_corrected[maximum]"
    assert turned(ranked("EMBEDDING_DIVISOR", 8), *ids, kept) == ids


def test_a_feed_forward_network_of_the_documented_compression_turns_its_refutation(turned):
    """A refuted claim can be confirmed: with one tenth of the dense weights 87.5 % are saved."""
    ids = {f"{FAIR}/ffn_compression_counted[maximum]", f"{FINAL}/ffn_compression_counted"}
    assert turned(ranked("FFN_DIVISOR", 10), *ids) == ids


def test_a_leaked_tensor_turns_the_peaks_and_not_the_weights(turned):
    """What each block keeps is seen in activation and peak, and not in the loaded model."""
    ids = {
        f"{FAIR}/peak_vram_predicted[standard-phase8]",
        f"{FAIR}/peak_vram_sound_predicted[standard-phase8]",
        f"{FAIR}/peak_difference_predicted[standard]",
        f"{FAIR}/breakdown_activation_sound_predicted[large]",
        f"{FINAL}/peaks_equal[standard]",
        f"{FAIR}/below_a_thousandth_sound_predicted[peak]",
        f"{FAIR}/logits_dominate[phase8]",
    }
    kept = f"{FAIR}/model_vram_predicted[standard-phase8]", f"{FINAL}/model_within_a_hundredth[standard]"
    assert turned(rebuilt(leaking), *ids, *kept) == ids


def test_float32_weights_turn_the_precision_and_the_memory(turned):
    """Twice the bytes at the same number of parameters."""
    ids = {
        f"{FAIR}/mixed_precision[phase8]",
        f"{FINAL}/mixed_precision[phase8]",
        f"{FAIR}/model_vram_predicted[standard-phase8]",
        f"{FAIR}/peak_vram_sound_predicted[standard-phase8]",
        f"{FINAL}/model_within_a_hundredth[standard]",
    }
    kept = f"{FAIR}/parameters_exact[standard-phase8]"
    assert turned(rebuilt(in_float32), *ids, kept) == ids


def test_the_attention_of_phase7_turns_every_claim_that_tells_the_two_apart(turned):
    """Counts by the curvature, orders and shares by the operations, modules by their name."""
    sizes = ("maximum", "large", "deep", "standard")
    ids = {
        *(f"{FAIR}/parameters_exact[{size}-phase8]" for size in sizes),
        *(f"{FAIR}/parameters_one_per_layer[{size}]" for size in sizes),
        f"{FAIR}/one_to_one_replacement[phase8]",
        f"{FAIR}/linear_attention",
        f"{FAIR}/phase8_linear",
        f"{FAIR}/low_mode_linear",
        f"{FAIR}/mixing_share[phase8]",
        f"{FAIR}/hybrid_complexity[c0.3]",
        f"{FAIR}/hybrid_memory[c0.8]",
        f"{FINAL}/linear_attention",
    }
    assert turned(with_attention_of_phase7, *ids) == ids


def test_the_attention_of_phase7_leaves_what_cannot_tell_the_two_apart(turned):
    """The documents' headline, equal peaks at 512 tokens, holds for two networks that are the same one."""
    ids = {
        f"{FAIR}/peak_equal_at_maximum",
        f"{FAIR}/attention_memory_predicted[phase8]",
        f"{FINAL}/peaks_equal[maximum]",
    }
    assert turned(with_attention_of_phase7, *ids) == set()


def test_a_curvature_cannot_be_asked_of_the_attention_of_phase7(decided, monkeypatch):
    """That is a crash of the probe, never a verdict on the claim."""
    with_attention_of_phase7(monkeypatch)
    with pytest.raises(AttributeError):
        decided(f"{FAIR}/linear_mode_forced")


@pytest.mark.parametrize("curvature", [0.8, 1.5])
def test_another_curvature_turns_the_linear_claims(turned, curvature):
    """A preset that starts in another mode is quadratic from there on."""

    def broken(patch):
        for name, config in phase8.PRESETS.items():
            shape = replace(config.shape, d_model=128, heads=1)
            patch.setitem(phase8.PRESETS, name, replace(config, shape=shape, curvature=curvature))

    ids = {f"{FAIR}/linear_attention", f"{FAIR}/phase8_linear", f"{FINAL}/linear_attention"}
    assert turned(broken, *ids, f"{FAIR}/low_mode_linear") == ids


def test_a_dropped_gate_turns_the_refuted_hybrid_claims(turned):
    """With the exact part mixed in from the threshold on, the documents' sentences become true."""

    def broken(patch):
        def share(self, c):
            return min(max((c - 0.1) / 0.9, 0.0), 1.0)

        patch.setattr(phase8.TangentSpaceLinearAttention, "exact_share", share)

    ids = {
        f"{FAIR}/hybrid_mixes[c0.2]",
        f"{FAIR}/hybrid_mixes[c0.5]",
        f"{FAIR}/hybrid_complexity[c0.3]",
        f"{FAIR}/hybrid_memory[c0.3]",
    }
    kept = f"{FAIR}/hybrid_mixes[c0.9]", f"{FAIR}/linear_mode_forced"
    assert turned(broken, *ids, *kept) == ids


def test_softmax_scores_of_the_ball_turn_the_refuted_accuracy(turned):
    """If the linear mode computed what the exact one does, its accuracy would be confirmed."""

    def broken(patch):
        def exact(self, q, k, v):
            return self.exact(q, k, v, torch.tensor(self.config.curvature, dtype=q.dtype))

        patch.setattr(phase8.TangentSpaceLinearAttention, "linear", exact)

    ids = {f"{FAIR}/low_mode_accuracy[c0.01]", f"{FAIR}/low_mode_accuracy[c0.05]"}
    assert turned(broken, *ids) == ids
