"""No probe confirms whatever it is shown: for each there is a subject that, broken, turns the verdict.

A GPU is stood in for by one that allocates what is predicted and takes as long as there are operations.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from muse import machine, probes
from muse.claims.claim import Expect, Status
from muse.claims.verdict import judge
from muse.errors import Unmeasured
from muse.memory import optimizers, peak
from muse.memory.card import card as known
from muse.memory.peak import Peak
from muse.memory.predict import predict, predict_extra
from muse.models import baseline, phase1, phase7, phase8, phase8_push
from muse.models.phase7 import SoftmaxAttention
from muse.nn import arssm
from muse.nn.lowrank import FactorisedFFN
from muse.nn.shape import Shape
from muse.probes import (
    PROBES,
    attention_memory,
    attention_speedup,
    attention_time,
    capacity,
    memory,
    memory_growth,
    predicted_memory,
    speed,
    time_growth,
)
from muse.probes.bench import Bench
from muse.probes.operations import counter

SMALL = Shape(d_model=64, layers=2, heads=1, vocabulary=256)
WORKSPACE = 8_519_680
STEP = {"model": "phase1_ultra", "tokens": 128, "train": True, "optimizer": "sgd"}
ROOM = {**STEP, "tokens": 16, "budget": 22 * 2**20, "vary": "width"}

Break = Callable[[pytest.MonkeyPatch], None]


def one_layer_more(module, name) -> Break:
    """Return a break that makes a preset deeper."""
    config = module.PRESETS[name]
    deeper = replace(config, shape=replace(config.shape, layers=config.shape.layers + 1))
    return lambda patch: patch.setitem(module.PRESETS, name, deeper)


def deeper(patch):
    """One layer more than the small Phase 8."""
    one_layer_more(phase8, "phase8_standard")(patch)


def without_checkpoints(patch):
    """Keep all activations."""
    config = phase1.PRESETS["phase1_ultra"]
    patch.setitem(phase1.PRESETS, "phase1_ultra", replace(config, recomputed=()))


def dense(patch):
    """Put a wider feed-forward network where there was one of low rank."""
    patch.setattr(phase1, "Block", wide(phase1.Block))


def wide(block):
    """Return a block whose feed-forward network is four times as wide as its input."""

    class Wide(block):
        def __init__(self, config):
            super().__init__(config)
            self.ffn = FactorisedFFN(config.shape.d_model, config.shape.d_model)

    return Wide


def leaking(patch):
    """Let every layer keep a copy of its input."""
    real = arssm.ARSSM.forward

    def forward(self, x):
        self.kept = x.detach().clone()
        return real(self, x)

    patch.setattr(arssm.ARSSM, "forward", forward)


def all_pairs(patch):
    """Let every token meet every other one."""
    real = arssm.ARSSM.forward
    patch.setattr(arssm.ARSSM, "forward", lambda self, x: real(self, x) + (x @ x.transpose(-1, -2)) @ x)


def hungry(patch):
    """Let an optimizer that keeps nothing keep what AdamW does."""
    patch.setitem(optimizers.MAKERS, "sgd", optimizers.MAKERS["adamw"])


def without_workspace(patch):
    """Let a prediction, and no measurement, forget the workspace."""
    patch.setattr(predicted_memory, "predict", lambda what, _, card: predict(what, 0, card))


def softmax(patch):
    """Give Phase 8 the attention of Phase 7."""
    patch.setattr(phase8, "attention", lambda config: SoftmaxAttention(config.shape))


def exact(patch):
    """Let Phase 8 hold the scores of all pairs."""
    c = torch.tensor(1.0)
    patch.setattr(phase8.TangentSpaceLinearAttention, "linear", lambda self, q, k, v: self.exact(q, k, v, c.to(q)))


def never_exact(patch):
    """Let no curvature mix in the exact part."""
    patch.setattr(phase8.TangentSpaceLinearAttention, "exact_share", lambda *_: 0.0)


def always_exact(patch):
    """Let every curvature select the exact mode."""
    patch.setattr(phase8.TangentSpaceLinearAttention, "exact_share", lambda *_: 1.0)


def another_formula(patch):
    """Compress the feed-forward network to a tenth."""
    real = phase8_push.documented_counts
    patch.setattr(phase8_push, "documented_counts", lambda *given, **how: {**real(*given, **how), "ffn": 3_019_898_881})


def a_square_less(patch):
    """Let the baseline's layer have no parameters that grow with the square of its width."""
    patch.setattr(baseline, "encoder_layer", lambda shape, **_: torch.nn.LayerNorm(shape.d_model))


LEDGER: dict[str, tuple[str, Break]] = {
    "parameters": ("phase1_vram/configuration[layers]", one_layer_more(phase1, "phase1_ultra")),
    "parameter_growth": ("max_parameters/growth_of_layer[baseline]", a_square_less),
    "closed_formula": ("phase8_parameters/before[ffn]", another_formula),
    "trace": ("phase1_vram/checkpoints", without_checkpoints),
    "curvature": ("phase7_vs_phase8/linear_mode_forced", always_exact),
    "operations": ("phase1_vram/linear_operations", all_pairs),
    "predicted_memory_growth": ("phase1_vram/linear_memory", all_pairs),
    "memory_growth": ("phase1_vram/linear_memory", all_pairs),
    "time_growth": ("phase1_vram/linear_time", all_pairs),
    "attention_operations": ("phase7_vs_phase8/linear_attention", softmax),
    "predicted_attention_memory": ("phase7_vs_phase8/hybrid_memory[c0.8]", never_exact),
    "attention_memory": ("phase7_vs_phase8/attention_memory[phase8]", exact),
    "attention_time": ("phase7_vs_phase8/phase8_time", softmax),
    "attention_speedup": ("phase7_vs_phase8/improvement[at-16384]", softmax),
}
"""Claims of the real ledger; Phase 1's growth is told on a small network, and measured as it is predicted."""
SHRUNK = {"operations", "predicted_memory_growth", "memory_growth", "time_growth"}
MADE_UP: dict[str, tuple[dict, str, str, Break]] = {
    "speed": ({"model": "phase8_standard", "against": "phase7_standard"}, "cost", "times", deeper),
    "predicted_memory": (STEP, "peak", "B", leaking),
    "memory": (STEP, "peak", "B", leaking),
    "prediction": (STEP, "miss", "times", without_workspace),
    "predicted_capacity": (ROOM, "size", "count", hungry),
    "capacity": (ROOM, "size", "count", hungry),
}
"""Claims that the small networks are as they are."""
OTHERWISE = {
    "arithmetic",
    "decoding_time",
    "operator",
    "operator_agreement",
    "operator_memory",
    "operator_memory_growth",
    "operator_time_growth",
    "operator_operations",
    "operator_parameters",
    "resolvent_bounds",
}
"""The subject of the first is the claim's own operands, see its test below; those of the others are kernels, slowed,
falsified and made quadratic in ``probes/test_operator*.py``."""


@pytest.fixture
def small(monkeypatch):
    """Small networks in place of the documents'."""
    for module, name in ((phase1, "phase1_ultra"), (phase7, "phase7_standard"), (phase8, "phase8_standard")):
        monkeypatch.setitem(module.PRESETS, name, replace(module.PRESETS[name], shape=SMALL))


@pytest.fixture
def card(monkeypatch):
    """A GPU that allocates what is predicted, under a cap that bites, and takes a second per 10^12 operations."""

    def isolate(function, *args, environment, timeout, segments=False):
        if function is peak.extra:
            calls, dtype = args
            return [predict_extra(call, dtype, known("h100")) for call in calls]
        what, cap = args
        found = predict(what, WORKSPACE, known("h100"), cap if segments else None)
        if not found.fits or (cap and not segments and found.total_bytes > cap):
            raise Unmeasured("out_of_memory", "CUDA out of memory")
        kinds = dict(found.by_kind)
        kinds["activations"] += kinds.pop("scratch")
        sizes = found.parameters, found.model_bytes, found.total_bytes, found.workspace, found.reserved
        return Peak(*sizes, None, kinds)

    def times(calls, bench, way):
        found = {}
        for name, prepare in calls.items():
            counting = counter()
            with FakeTensorMode(), torch.no_grad(), counting:
                prepare(torch.device("cpu"))()
            found[name] = [counting.get_total_flops() * 1e-12] * 3
        return found

    monkeypatch.setattr(machine, "gpus", tuple)
    for probe in (memory, memory_growth, attention_memory):
        monkeypatch.setattr(probe, "isolate", isolate)
    monkeypatch.setattr(capacity, "isolate", partial(isolate, segments=True))
    for probe in (speed, time_growth, attention_time, attention_speedup):
        monkeypatch.setattr(probe, "times", times)


@pytest.fixture
def measured(tmp_path, settings):
    """What a claim's probe measures, each time on a bench without readings."""
    benches = count()
    return lambda claim: probes.measure(claim, Bench(settings, tmp_path / str(next(benches))))


@pytest.fixture
def turned(measured, monkeypatch):
    """The verdicts on a claim before and after a break."""

    def of(claim, broken):
        before = judge(claim, measured(claim)).status
        with monkeypatch.context() as patch:
            broken(patch)
            return before, judge(claim, measured(claim)).status

    return of


def test_every_probe_is_shown_a_broken_subject():
    """A new probe needs a row in one of the tables."""
    assert {*LEDGER, *MADE_UP, *OTHERWISE} == set(PROBES)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("probe", LEDGER)
def test_a_claim_of_the_ledger_turns_with_its_subject(request, real_ledger, turned, probe):
    """Confirmed as the subject is, refuted once it is broken."""
    id_, broken = LEDGER[probe]
    if probe in SHRUNK:
        request.getfixturevalue("small")
    [claim] = [claim for claim in real_ledger.claims if claim.id == id_]
    assert turned(claim.model_copy(update={"probe": probe}), broken) == (Status.CONFIRMED, Status.REFUTED)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.usefixtures("small", "card")
@pytest.mark.parametrize("probe", MADE_UP)
def test_a_claim_about_a_small_network_turns_with_it(a_claim, measured, turned, probe):
    """What was measured once is no longer what is measured."""
    given, quantity, unit, broken = MADE_UP[probe]
    value = float(measured(a_claim(probe, quantity, unit, given=given)).value)
    claim = a_claim(probe, quantity, unit, given=given, expect=Expect(equals=str(value)))
    assert turned(claim, broken) == (Status.CONFIRMED, Status.REFUTED)


@pytest.mark.usefixtures("small", "card")
@pytest.mark.parametrize("probe", ["predicted_memory", "memory"])
@pytest.mark.parametrize("broken", [leaking, without_checkpoints, dense, hungry])
def test_a_step_that_just_fits_its_budget_does_not_once_it_needs_more(a_claim, measured, turned, probe, broken):
    """A leak, activations that are kept, a dense part, or a hungrier optimizer."""
    most = measured(a_claim("predicted_memory", "peak", "B", given=STEP)).value
    claim = a_claim(probe, "fits", given={**STEP, "budget": most}, expect=Expect(equals=1))
    assert turned(claim, broken) == (Status.CONFIRMED, Status.REFUTED)


@pytest.mark.usefixtures("small", "card")
@pytest.mark.parametrize("probe", ["predicted_memory", "memory"])
def test_a_budget_one_byte_too_small_turns_a_claim_that_it_is_enough(a_claim, measured, probe):
    """To the byte."""
    most = measured(a_claim("predicted_memory", "peak", "B", given=STEP)).value
    claims = [a_claim(probe, "fits", given={**STEP, "budget": most - less}, expect=Expect(equals=1)) for less in (0, 1)]
    assert [judge(claim, measured(claim)).status for claim in claims] == [Status.CONFIRMED, Status.REFUTED]


def test_a_changed_digit_turns_a_claim_of_arithmetic(real_ledger, measured):
    """The documents' own figures confirm it, and a slip in one of them would not have."""
    id_ = "phase7_vs_phase8/breakdown_sum[maximum]"
    [claim] = [claim for claim in real_ledger.claims if claim.id == id_]
    first, *others = claim.given["operands"]
    slip = claim.model_copy(update={"given": {**claim.given, "operands": [first + 1, *others]}})
    assert [judge(claim, measured(one)).status for one in (claim, slip)] == [Status.CONFIRMED, Status.REFUTED]
