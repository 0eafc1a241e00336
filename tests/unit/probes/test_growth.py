"""Orders of growth of whole models: parameters with the width, operations and memory with the tokens."""

from dataclasses import replace

import pytest
from torch import nn

from muse.claims.claim import Scope
from muse.errors import Unmeasured
from muse.memory import peak
from muse.memory.peak import Peak
from muse.models import baseline, phase7, phase8
from muse.nn.shape import Shape
from muse.probes import memory_growth

WIDTHS = [256, 512, 1024, 2048, 4096, 8192]
LENGTHS = [64, 128, 256, 512, 1024, 2048]
SMALL = Shape(d_model=16, layers=1, heads=1, vocabulary=16)
"""So narrow that the mixing of tokens soon is most of the work."""


@pytest.fixture
def small(monkeypatch):
    """A preset each of the baseline, Phase 7 and Phase 8, small."""
    for name, module in (("baseline", baseline), ("phase7_standard", phase7), ("phase8_standard", phase8)):
        monkeypatch.setitem(module.PRESETS, name, replace(module.PRESETS[name], shape=SMALL))


@pytest.fixture
def points(ask):
    """What a probe counts at every size, for a preset."""

    def of(probe, model, **given):
        found = ask(probe, "slope", "order", model=model, **given)
        return {int(size): value for size, value in found.how["points"]}

    return of


def test_parameters_are_counted_at_every_width(points):
    """The baseline's mixer has 4 d^2 + 4 d of them."""
    found = points("parameter_growth", "baseline", part="mixer", widths=WIDTHS)
    assert found == {d: 4 * d * d + 4 * d for d in WIDTHS}


@pytest.mark.parametrize(
    ("model", "part", "order"),
    [("baseline", "ffn", 2), ("phase8_standard", "ffn", 2), ("phase1_ultra", "norms", 1), ("baseline", "norms", 1)],
)
def test_parameters_grow_as_their_part_does(ask, model, part, order):
    """A norm with the width, a map with its square, factorised or not."""
    found = ask("parameter_growth", "slope", "order", model=model, part=part, widths=WIDTHS)
    assert found.value == pytest.approx(order, abs=0.05)
    assert found.scope is Scope.EXACT


def test_a_dense_mixer_turns_a_linear_growth_of_parameters(ask, monkeypatch):
    """Phase 2's mixer is linear in the width, a full map is not."""
    given = {"model": "phase2", "part": "mixers", "widths": WIDTHS}
    assert ask("parameter_growth", "slope", "order", **given).value < 1.5
    from muse.models import max_parameters

    real = max_parameters.SemiseparableLayer.__init__

    def dense(self, d_model):
        real(self, d_model)
        self.u = nn.Parameter(self.u.new_empty(d_model, d_model))

    monkeypatch.setattr(max_parameters.SemiseparableLayer, "__init__", dense)
    assert ask("parameter_growth", "slope", "order", **given).value > 1.5


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("model", ["baseline", "phase7_standard"])
def test_operations_of_softmax_attention_are_counted_in_both_of_pytorch_s_modules(points, model):
    """4 N^2 d for all pairs, and two for every weight and token, although their fused path is not counted."""
    d, n_v = SMALL.d_model, SMALL.vocabulary
    weights = 4 * d * d + d * n_v
    weights += 8 * d * d if model == "baseline" else 10 * d * (d // 8) + d * (d // 4)
    found = points("operations", model, lengths=LENGTHS)
    assert found == {n: 2 * n * weights + 4 * n * n * d for n in LENGTHS}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("model", "low", "high"), [("baseline", 1.2, 2), ("phase8_standard", 0.99, 1.01)])
def test_the_order_of_the_operations_tells_the_attentions_apart(ask, model, low, high):
    """Linear attention is linear in all its tokens."""
    found = ask("operations", "slope", "order", model=model, lengths=LENGTHS)
    assert low < found.value < high
    assert found.scope is Scope.EXACT


@pytest.mark.usefixtures("small")
def test_the_memory_of_a_training_step_grows_with_its_tokens(ask):
    """Linearly with fused attention, whichever it is."""
    given = {"lengths": [n * 16 for n in LENGTHS], "train": True}
    for model in ("baseline", "phase8_standard"):
        found = ask("predicted_memory_growth", "slope", "order", model=model, **given)
        assert found.value == pytest.approx(1, abs=0.1)
        assert found.scope is Scope.PREDICTED


@pytest.mark.usefixtures("small")
def test_weights_that_are_kept_turn_the_growth_of_memory(ask, monkeypatch):
    """A softmax attention written out keeps a matrix of all pairs for its backward pass."""

    def written_out(self, x):
        return (x @ x.transpose(-1, -2)).softmax(-1) @ x

    monkeypatch.setattr(phase7.SoftmaxAttention, "forward", written_out)
    given = {"model": "phase7_standard", "lengths": [n * 16 for n in LENGTHS], "train": True}
    assert ask("predicted_memory_growth", "slope", "order", **given).value == pytest.approx(2, abs=0.1)


@pytest.fixture
def isolated(monkeypatch):
    """The calls that would have been measuring processes, each answered by its tokens."""
    calls = []

    def isolate(function, what, cap, *, environment, timeout):
        calls.append((function, what.tokens, cap))
        kinds = {"parameters": 10**9, "activations": 3 * what.tokens**2}
        return Peak(10**9, 10**9, 2 * 10**9, 0, 2 * 10**9, None, kinds)

    monkeypatch.setattr(memory_growth, "isolate", isolate)
    return calls


def test_the_measured_growth_is_of_the_activations_alone(ask, isolated):
    """One process per length, without a cap; the parameters, which do not grow, are left out."""
    found = ask("memory_growth", "slope", "order", model="phase1_ultra", lengths=LENGTHS)
    assert found.value == pytest.approx(2)
    assert found.scope is Scope.MEASURED
    assert isolated == [(peak.sound, n, None) for n in LENGTHS]


def test_a_length_is_measured_once_for_all_claims(ask, isolated):
    """Two slopes share their lengths."""
    for _ in range(2):
        ask("memory_growth", "slope", "order", model="phase1_ultra", lengths=LENGTHS)
    assert len(isolated) == len(LENGTHS)


def test_a_length_that_does_not_fit_is_unmeasured(ask, monkeypatch):
    """A slope over the others would be another claim's."""

    def isolate(*args, **kwargs):
        raise Unmeasured("out_of_memory", "CUDA out of memory")

    monkeypatch.setattr(memory_growth, "isolate", isolate)
    with pytest.raises(Unmeasured, match="out_of_memory"):
        ask("memory_growth", "slope", "order", model="phase1_ultra", lengths=LENGTHS)
