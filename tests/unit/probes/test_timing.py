"""Times are taken in paired rounds, and a failure of CUDA is data."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from muse.claims.claim import Expect, Scope, Status
from muse.claims.verdict import judge
from muse.errors import MuseError, Unmeasured
from muse.memory.isolate import attempt
from muse.memory.workload import Workload
from muse.probes import attention_speedup, attention_time, speed, time_growth, timing
from muse.probes.attention_time import BASELINE
from muse.probes.timing import ROUNDS, ratio, times

LENGTHS = [512, 1024, 2048, 4096, 8192, 16384]


@contextmanager
def here(make, *args, environment, timeout, kept_for):
    """Stand in for the timing process, with its way of telling errors, in this one."""

    def told(function, *args):
        found = attempt(function, *args)
        if isinstance(found, MuseError):
            raise found
        return found

    call = told(make, *args)
    yield lambda: told(call)


@pytest.fixture
def clock(monkeypatch):
    """A CPU that stands in for the GPU, on which every call says itself how long it takes."""
    monkeypatch.setattr(timing, "worker", here)
    monkeypatch.setattr(timing, "gpu", lambda: torch.device("cpu"))
    monkeypatch.setattr(timing, "_timed", lambda call, *_: call())


@pytest.fixture
def stubbed(monkeypatch):
    """Seconds per call, given by hand to a probe in place of its timing."""

    def use(probe, seconds):
        asked = []

        def times(calls, bench, way):
            asked.append((list(calls), way))
            return {name: [seconds(name)] * ROUNDS for name in calls}

        monkeypatch.setattr(probe, "times", times)
        return asked

    return use


def raising(error):
    """Return a call's maker whose call raises `error`."""

    def call():
        raise error

    return lambda _device: call


def test_a_ratio_is_of_paired_rounds():
    """A card that slows down for a round slows both, and their ratio stays."""
    drift = [1, 2, 3, 4, 5, 6]
    found = ratio([3 * x for x in drift], drift)
    assert (found.low, found.value, found.high) == (3, 3, 3)


def test_the_interval_of_a_ratio_holds_the_truth_and_is_not_a_point():
    """Noise in the rounds is noise in the verdict."""
    found = ratio([2.0, 2.1, 1.9, 2.05, 1.95, 2.2, 1.8, 2.0, 2.1, 1.9, 2.0, 2.02], [1.0] * 12)
    assert 1.8 <= found.low < 2.0 < found.high <= 2.2
    assert (found.scope, len(found.samples)) == (Scope.MEASURED, 12)


def test_the_same_rounds_give_the_same_interval():
    """The bootstrap draws from a seed of its own."""
    rounds = [1.0, 1.2, 0.9, 1.1, 1.3], [1.0] * 5
    assert ratio(*rounds) == ratio(*rounds)


def test_one_hiccup_does_not_move_a_ratio():
    """The middle round decides, not the mean."""
    assert ratio([2.0] * 11 + [500.0], [1.0] * 12).value == 2.0


def test_rounds_that_are_not_pairs_are_refused():
    """A missing sample is a mistake of ours."""
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0], [1.0, 2.0])


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.usefixtures("clock")
def test_every_call_is_timed_once_a_round(bench):
    """In rounds that the caller drives, whatever the order within one."""
    found = times({"a": lambda _: lambda: 1.0, "b": lambda _: lambda: 2.0}, bench, "called")
    assert found == {"a": [1.0] * ROUNDS, "b": [2.0] * ROUNDS}


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.usefixtures("clock")
def test_a_gpu_sleeps_twice_as_long_as_a_call_takes_to_launch(bench, monkeypatch):
    """Then what is timed is its own work; called or replayed it does not sleep."""
    now, slept = iter([0.0, 1e-3]), []
    monkeypatch.setattr(timing, "perf_counter", lambda: next(now))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(timing, "_timed", lambda call, repeats, asleep=0: slept.append((repeats, asleep)) or call())
    times({"a": lambda _: lambda: 1.0}, bench, "ahead")
    assert set(slept) == {(1, int(2e-3 * timing.CYCLES))}
    slept.clear()
    times({"a": lambda _: lambda: 1.0}, bench, "called")
    assert {asleep for _, asleep in slept} == {0}


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.usefixtures("clock")
def test_the_order_within_rounds_changes(bench):
    """Neither call always runs on the card that the other has warmed."""
    order = []
    makers = {name: lambda _, name=name: lambda: order.append(name) or 1.0 for name in "ab"}
    times(makers, bench, "called")
    rounds = ["".join(order[i : i + 2]) for i in range(len(order) - 2 * ROUNDS, len(order), 2)]
    assert set(rounds) == {"ab", "ba"}


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.usefixtures("clock")
def test_calls_are_timed_without_gradients(bench):
    """As the documents ran them."""
    seen = []
    times({"a": lambda _: lambda: seen.append(torch.is_grad_enabled()) or 1.0}, bench, "called")
    assert set(seen) == {False}


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB"), "out_of_memory"),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), "driver_error"),
    ],
)
def test_a_failure_of_cuda_is_unmeasured(bench, error, reason):
    """It ends the claim, with its reason, and not the run."""
    with pytest.raises(Unmeasured) as caught:
        times({"a": raising(error)}, bench, "called")
    assert caught.value.reason == reason


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.usefixtures("clock")
def test_a_mistake_of_ours_is_not_a_failure_of_cuda(bench):
    """It is raised as it is."""
    with pytest.raises(KeyError):
        times({"a": raising(KeyError("x"))}, bench, "called")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine's PyTorch has CUDA")
def test_a_pytorch_without_cuda_is_unmeasured(bench):
    """A driver alone times nothing, and the timing process says so without a warning."""
    with pytest.raises(Unmeasured) as caught:
        times({}, bench, "called")
    assert caught.value.reason == "no_cuda"


@pytest.mark.parametrize(("seconds", "status"), [(0.5, Status.CONFIRMED), (1.5, Status.REFUTED)])
def test_a_slower_call_turns_a_claim_of_speed(ask, a_claim, stubbed, seconds, status):
    """The speed-up is the other's time over the model's."""
    stubbed(attention_speedup, {"model": seconds, "against": 1.0}.get)
    given = {"model": "phase8_maximum", "against": "phase7_maximum", "tokens": [512]}
    found = ask("attention_speedup", "speedup", "times", **given)
    assert found.value == pytest.approx(1 / seconds)
    assert judge(a_claim("attention_speedup", "speedup", "times", expect=Expect(above=1)), found).status is status


@pytest.mark.parametrize(("seconds", "status"), [(1.02, Status.CONFIRMED), (1.5, Status.REFUTED)])
def test_a_slower_pass_turns_a_claim_of_equal_cost(ask, a_claim, stubbed, seconds, status):
    """The cost's change is the model's time over the other's, less one, and so is its interval."""
    stubbed(speed, {"mine": seconds, "other": 1.0}.get)
    given = {"model": "phase8_maximum", "against": "phase7_maximum"}
    assert ask("speed", "cost", "times", **given).value == pytest.approx(seconds)
    found = ask("speed", "cost_change", "percent", **given)
    assert [found.low, found.value, found.high] == pytest.approx([seconds - 1] * 3)
    claim = a_claim("speed", "cost_change", "percent", expect=Expect(between=(-5, 5)))
    assert judge(claim, found).status is status


def test_both_subjects_are_made_with_settings_of_their_own(ask, monkeypatch):
    """What the other does not say is the claim's."""
    made = {}

    def times(calls, bench, way):
        made.update({name: prepare.args[0] for name, prepare in calls.items()})
        return {name: [1.0] * ROUNDS for name in calls}

    monkeypatch.setattr(speed, "times", times)
    against = {"model": "phase1_ultra_tied", "optimizer": "sgd"}
    ask("speed", "cost", "times", model="phase1_ultra", tokens=8, train=True, against=against)
    assert {name: (what.build.args, what.optimizer, what.tokens) for name, what in made.items()} == {
        "mine": (("phase1_ultra",), "adamw", 8),
        "other": (("phase1_ultra_tied",), "sgd", 8),
    }


class Seeing(nn.Module):
    """A map that notes how it is run."""

    def __init__(self):
        super().__init__()
        self.map = nn.Embedding(10, 10)
        self.seen = []

    def forward(self, ids):
        self.seen.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cuda")))
        return self.map(ids)


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda', but CUDA is not available")
@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"train": True, "autocast": False}, (True, False)),
        ({"dtype": "float32"}, (False, False)),
        ({"train": True, "dtype": "float32"}, (True, False)),
    ],
)
def test_a_step_is_timed_as_it_is_stated_whatever_is_on_around_it(stated, expected):
    """The timing process runs everything under autocast and without gradients, as layers are timed."""
    model = Seeing()
    what = Workload(lambda: model, 10, 4, **stated)
    once = speed.call(what, torch.device("cpu"))
    torch.set_autocast_enabled("cuda", True)  # noqa: FBT003  # as PyTorch has it
    try:
        with torch.no_grad():
            once()
        assert torch.is_autocast_enabled("cuda")
    finally:
        torch.set_autocast_enabled("cuda", False)  # noqa: FBT003  # so too
    assert model.seen == [expected]


@pytest.mark.parametrize("order", [1, 2])
def test_the_time_of_a_whole_pass_grows_above_its_baseline(ask, stubbed, order):
    """Launched as PyTorch launches it, at every length and at a handful of tokens."""
    asked = stubbed(time_growth, lambda n: 1e-3 + 1e-6 * (int(n) - BASELINE) ** order)
    found = ask("time_growth", "slope", "order", model="phase8_maximum", lengths=LENGTHS)
    assert found.value == pytest.approx(order, abs=0.05)
    assert asked == [([str(n) for n in (time_growth.BASELINE, *LENGTHS)], "ahead")]


@pytest.mark.parametrize("order", [1, 2])
def test_the_time_of_a_layer_grows_above_its_baseline(ask, stubbed, order):
    """A constant cost of a hundred launches does not flatten the slope."""
    asked = stubbed(attention_time, lambda n: 1e-3 + 1e-6 * (int(n) - BASELINE) ** order)
    found = ask("attention_time", "slope", "order", model="phase8_maximum", tokens=LENGTHS)
    assert found.value == pytest.approx(order, abs=0.05)
    assert asked == [([str(n) for n in (BASELINE, *LENGTHS)], "replayed")]


def test_quadratic_times_turn_a_claim_of_linear_time(real_ledger, ask, stubbed):
    """Phase 8's claim is refuted by the growth that Phase 7's claims."""
    stubbed(attention_time, lambda n: 1e-3 + 1e-6 * (int(n) - BASELINE) ** 2)
    found = ask("attention_time", "slope", "order", model="phase8_maximum", tokens=LENGTHS)
    claims = {claim.id: claim for claim in real_ledger.claims}
    names = "phase7_vs_phase8/phase8_time", "phase7_vs_phase8/phase7_time"
    assert [judge(claims[name], found).status for name in names] == [Status.REFUTED, Status.CONFIRMED]
