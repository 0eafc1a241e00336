"""One layer's attention alone: counted operations and predicted memory against closed formulas."""

from fractions import Fraction

import pytest
import torch

from muse.claims.claim import Scope
from muse.errors import Unmeasured
from muse.models import phase8
from muse.models.phase7 import SoftmaxAttention
from muse.probes import attention_memory

LENGTHS = [512, 1024, 2048, 4096, 8192, 16384]
WIDTH, HEADS = 64, 2


@pytest.fixture
def slope(ask):
    """The slope of a probe over the lengths, on a narrow layer."""

    def of(probe: str, model: str, **given):
        given = {"part": "mixing", "width": WIDTH, "heads": HEADS, "tokens": LENGTHS, **given}
        return ask(probe, "slope", "order", model=model, **given)

    return of


@pytest.fixture
def quadratic(monkeypatch):
    """Phase 8's presets with an attention that is quadratic in fact."""
    monkeypatch.setattr(phase8, "attention", lambda config: SoftmaxAttention(config.shape))


@pytest.mark.parametrize(("model", "order"), [("phase7_maximum", 2), ("phase8_maximum", 1)])
def test_the_operations_of_mixing_have_the_order_of_the_mode(slope, model, order):
    """Exact counts give an exact exponent."""
    found = slope("attention_operations", model)
    assert [found.low, found.value, found.high] == pytest.approx([order] * 3, abs=1e-3)
    assert found.scope is Scope.EXACT


def test_softmax_attention_is_counted_as_two_products_of_all_pairs(slope):
    """4 N^2 d operations: scores and their application, two per multiply-add."""
    points = dict(slope("attention_operations", "phase7_maximum").how["points"])
    assert points == {n: 4 * n**2 * WIDTH for n in LENGTHS}


def test_linear_attention_is_counted_as_products_with_a_d_by_d_sum(slope):
    """k^T v and q (k^T v), and the normalisation, all linear in N."""
    points = dict(slope("attention_operations", "phase8_maximum").how["points"])
    at_512 = 2 * 2 * 512 * WIDTH * (WIDTH // HEADS)
    assert at_512 <= points[512] <= at_512 + 2 * 2 * 512 * WIDTH
    assert points[1024] == 2 * points[512]


def test_the_exact_mode_is_quadratic_in_operations(slope):
    """Above curvature one every pair of tokens meets."""
    assert slope("attention_operations", "phase8_maximum", curvature="1.5").value == pytest.approx(2, abs=0.05)


def test_the_mixing_share_is_of_the_whole_layer(ask):
    """4 N^2 d of 4 N^2 d + 8 N d^2, exactly."""
    found = ask("attention_operations", "mixing_share", "percent", model="phase7_maximum", tokens=[512])
    d, n = 4096, 512
    assert found.value == Fraction(4 * n * n * d, 4 * n * n * d + 8 * n * d * d)


@pytest.mark.usefixtures("quadratic")
def test_a_quadratic_attention_in_phase8_is_seen_in_its_operations(slope):
    """The claim of O(N) is about what is built, not about the name of the preset."""
    assert slope("attention_operations", "phase8_maximum").value == pytest.approx(2, abs=1e-3)


@pytest.mark.usefixtures("quadratic")
@pytest.mark.parametrize(
    "id_",
    [
        "phase7_vs_phase8/linear_attention",
        "phase7_vs_phase8/phase8_linear",
        "phase7_vs_phase8/low_mode_linear",
        "phase7_vs_phase8_final/linear_attention",
    ],
)
def test_a_quadratic_attention_turns_the_documents_claims(decided, id_):
    """Each is confirmed as the network is, and refuted with this one."""
    record = decided(id_)[id_]
    assert (str(record.claim.recorded), str(record.verdict.status)) == ("confirmed", "refuted")


@pytest.mark.parametrize("model", ["phase7_maximum", "phase8_maximum"])
def test_the_memory_of_a_layer_is_linear_in_both_phases(slope, model):
    """Fused softmax attention never holds its scores."""
    found = slope("predicted_attention_memory", model, part="layer")
    assert found.value == pytest.approx(1, abs=0.05)
    assert found.scope is Scope.PREDICTED


def test_the_exact_mode_holds_the_scores_of_all_pairs(slope):
    """At least one N x N matrix of float32 per head."""
    points = dict(slope("predicted_attention_memory", "phase8_maximum", curvature="1.5").how["points"])
    assert all(points[n] > HEADS * n * n * 4 for n in LENGTHS)


def test_scores_that_are_kept_are_seen_in_the_memory(slope, monkeypatch):
    """A softmax attention written out is quadratic in memory too."""

    def written_out(self, q, k, v):
        return (q @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v

    monkeypatch.setattr(SoftmaxAttention, "mix", written_out)
    assert slope("predicted_attention_memory", "phase7_maximum").value == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("c", "positive"), [("0.3", False), ("0.8", True), ("1.5", True)])
def test_the_peak_change_is_above_the_linear_mode(ask, c, positive):
    """Below the gate nothing is added; above it the scores are."""
    given = {"model": "phase8_maximum", "part": "mixing", "tokens": [512], "curvature": c}
    found = ask("predicted_attention_memory", "peak_change", "percent", **given)
    assert (found.value > 0) is positive
    assert found.value == Fraction(found.how["peak"] - found.how["linear_mode"], found.how["linear_mode"])


def test_a_leaked_tensor_is_seen_in_the_memory(slope, monkeypatch):
    """What a layer keeps from its pass is charged to it."""
    before = dict(slope("predicted_attention_memory", "phase8_maximum").how["points"])
    real = phase8.TangentSpaceLinearAttention.linear

    def leaking(self, q, k, v):
        self.kept = torch.empty(2**20, dtype=torch.uint8)
        return real(self, q, k, v)

    monkeypatch.setattr(phase8.TangentSpaceLinearAttention, "linear", leaking)
    after = dict(slope("predicted_attention_memory", "phase8_maximum").how["points"])
    assert {after[n] - before[n] for n in LENGTHS} == {2**20}


def test_the_measured_memory_is_fitted_as_it_was_read(slope, monkeypatch):
    """The process's bytes, one per length, with the documents' precision."""
    calls = []

    def isolate(function, prepared, dtype, *, environment, timeout):
        calls.append((function.__name__, len(prepared), dtype))
        return [3 * n**2 for n in LENGTHS]

    monkeypatch.setattr(attention_memory, "isolate", isolate)
    found = slope("attention_memory", "phase8_maximum")
    assert found.value == pytest.approx(2)
    assert (found.scope, calls) == (Scope.MEASURED, [("extra", len(LENGTHS), "float16")])


def test_a_layer_that_does_not_fit_is_unmeasured(slope, monkeypatch):
    """An out-of-memory at one length is the reason for the whole slope."""

    def isolate(*args, **kwargs):
        raise Unmeasured("out_of_memory", "CUDA out of memory")

    monkeypatch.setattr(attention_memory, "isolate", isolate)
    with pytest.raises(Unmeasured, match="out_of_memory"):
        slope("attention_memory", "phase8_maximum")
