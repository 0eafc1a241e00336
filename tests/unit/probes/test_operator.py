"""An operator is timed after it was checked, on inputs that rotate, against its floor and its peers."""

import sys
from typing import get_args

import pytest
import torch

from kernels.linear_scan import cases as scan_cases
from kernels.tensor_train import cases as tensor_train_cases
from muse.claims.claim import Expect, Status
from muse.claims.verdict import judge
from muse.errors import Disagreement, MuseError, Unmeasured, UsageError
from muse.memory.isolate import attempt
from muse.probes import (
    operator,
    operator_agreement,
    operator_calls,
    operator_memory,
)
from muse.probes.given import HOMES, Operator
from muse.probes.operator_calls import COPIED, Subject
from muse.probes.operators import PARTS
from muse.probes.operators import operator as named
from muse.probes.peers import PEERS, Peer
from muse.probes.timing import ROUNDS
from muse.store import provenance
from muse.verify import modules_of

SCAN = {"operator": "linear_scan", "case": "2x3x8", "dtype": "float32"}


def told(function, *args, **_):
    """Return what a function gives, as the measuring process tells it."""
    found = attempt(function, *args)
    if isinstance(found, MuseError):
        raise found
    return found


class Here:
    """Stands in for the timing process, with its way of telling errors, in this one."""

    def __init__(self, make, *args, **_):
        self.call = told(make, *args)

    def __enter__(self):
        return lambda: told(self.call)

    def __exit__(self, *_):
        return None


@pytest.fixture
def clock(monkeypatch):
    """A CPU in place of the GPU, one small case, and a time for every call: the operator's, a rival's, a ceiling's."""
    taken = {"mine": 1.0, "rival": 1.0, "copy": 1.0, "product": 1.0}
    calls = {}

    def prepare(self, device):
        calls[id(call := operator_calls_prepare(self, device))] = "rival" if self.who else "mine"
        kept.append(call)
        call()
        return call

    def named_ceilings(dtype, device):
        found = {name: (lambda: None) if name == "copy" else (lambda: 0) for name in ("copy", "product")}
        calls.update({id(call): name for name, call in found.items()})
        kept.extend(found.values())
        return found

    kept, operator_calls_prepare = [], Subject.prepare
    operator_calls._require_agreement.cache_clear()  # what an earlier test found agrees may be broken now
    monkeypatch.setattr(scan_cases, "CASES", (scan_cases.case(2, 3, 8), scan_cases.case(2, 3, 8, decay=False)))
    for module in (operator, operator_agreement, operator_memory):
        monkeypatch.setattr(module, "gpu", lambda: torch.device("cpu"))
    monkeypatch.setattr(operator, "worker", Here)
    monkeypatch.setattr(Subject, "prepare", prepare)
    monkeypatch.setattr(operator, "ceilings", named_ceilings)
    monkeypatch.setattr(operator, "repeats", lambda _: 1)
    monkeypatch.setattr(operator, "seconds", lambda call, _: taken[calls[id(call)]])
    return taken


@pytest.fixture
def wrong(monkeypatch):
    """A scan that is right at every element but the last."""

    def scan(a, b):
        return named_scan(a, b) + torch.nn.functional.one_hot(torch.tensor(b.shape[-1] - 1), b.shape[-1])

    named_scan = sys.modules["kernels.linear_scan"].linear_scan
    monkeypatch.setattr(sys.modules["kernels.linear_scan"], "linear_scan", scan)


@pytest.mark.usefixtures("clock", "wrong")
@pytest.mark.parametrize("quantity", ["seconds", "floor_ratio", "speedup"])
def test_a_kernel_that_disagrees_is_not_timed(ask, quantity):
    """It is a mistake of ours and no verdict: no claim of speed can be confirmed, refuted or skipped by it."""
    more = {"against": "reference"} if quantity == "speedup" else {}
    with pytest.raises(Disagreement, match="linear_scan errs"):
        ask("operator", quantity, "s", **SCAN, **more)


@pytest.mark.usefixtures("clock")
def test_a_wrong_gradient_keeps_from_being_timed_what_runs_backward(ask, monkeypatch):
    """A forward pass alone is checked and timed by itself."""
    right = sys.modules["kernels.linear_scan"].linear_scan
    monkeypatch.setattr(sys.modules["kernels.linear_scan"], "linear_scan", lambda a, b: right(a, b + b - b.detach()))
    assert ask("operator", "seconds", "s", **SCAN).value == 1
    with pytest.raises(Disagreement, match="linear_scan errs"):
        ask("operator", "seconds", "s", **SCAN, passes="both")


@pytest.mark.usefixtures("clock", "wrong")
def test_nor_is_its_memory_measured(ask):
    """For the same reason."""
    with pytest.raises(Disagreement, match="linear_scan errs"):
        ask("operator_memory", "extra_bytes", "B", **SCAN)


@pytest.mark.usefixtures("clock")
def test_agreement_turns_when_one_element_is_wrong(ask, a_claim, request):
    """The claim of agreement itself is refuted."""
    claim = a_claim("operator_agreement", "excess", "times", expect=Expect(at_most=4))
    assert judge(claim, ask("operator_agreement", "excess", "times", **SCAN)).status is Status.CONFIRMED
    request.getfixturevalue("wrong")
    assert judge(claim, ask("operator_agreement", "excess", "times", **SCAN)).status is Status.REFUTED


@pytest.mark.usefixtures("clock", "wrong")
def test_the_relative_error_is_that_of_the_worst_element(ask):
    """One, where the last element is one too large, is more than any rounding."""
    assert ask("operator_agreement", "relative_error", "times", **SCAN).value > 1e-2


@pytest.mark.parametrize(("seconds", "status"), [(3.0, Status.CONFIRMED), (5.0, Status.REFUTED)])
def test_a_slower_kernel_turns_a_claim_about_its_floor(ask, a_claim, clock, seconds, status):
    """The floor is the work at the rates of the same rounds."""
    work = Subject("linear_scan", "2x3x8", "float32", both=False).work
    clock.update(mine=seconds * 2.0, copy=2 * 2.0 * COPIED / work.bytes)
    found = ask("operator", "floor_ratio", "times", **SCAN)
    assert found.value == pytest.approx(seconds)
    assert len(found.samples) == ROUNDS
    claim = a_claim("operator", "floor_ratio", "times", expect=Expect(at_most=4))
    assert judge(claim, found).status is status


def test_a_speed_up_is_the_rivals_time_over_ours_and_a_cost_the_reverse(ask, clock):
    """What ran on either side is told."""
    clock.update(mine=2.0, rival=6.0)
    found = ask("operator", "speedup", "times", **SCAN, against="reference")
    assert found.value == 3
    assert found.how["operator"]["implementation"] == found.how["rival"]["implementation"] == "reference"
    assert ask("operator", "cost", "times", **SCAN, against="reference").value == pytest.approx(1 / 3)


@pytest.mark.usefixtures("clock")
def test_two_claims_of_the_same_pair_share_their_times(ask, monkeypatch):
    """The second one needs no process."""
    first = ask("operator", "speedup", "times", **SCAN, against="reference")
    monkeypatch.setattr(operator, "worker", None)
    assert ask("operator", "speedup", "times", **SCAN, against="reference") == first


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, ROUNDS), (3.0, operator.FEW)])
def test_long_rounds_are_fewer(ask, monkeypatch, seconds, rounds):
    """Minutes of them would tell no more."""
    now = iter([0.0, seconds])
    monkeypatch.setattr(operator, "perf_counter", lambda: next(now))
    assert len(ask("operator", "seconds", "s", **SCAN).samples) == rounds


@pytest.mark.usefixtures("clock")
def test_forward_and_backward_does_the_work_of_both(ask):
    """And counts it."""
    assert ask("operator", "seconds", "s", **SCAN, passes="both").value == 1.0
    case = named("linear_scan").case("2x3x8")
    assert Subject("linear_scan", "2x3x8", "float32", both=True).work.bytes == sum(
        work(torch.float32).bytes for work in (case.forward, case.backward)
    )


@pytest.mark.parametrize("who", ["accelerated_scan", "sdpa"])
@pytest.mark.usefixtures("clock")
def test_a_peer_that_is_not_there_is_unmeasured(ask, monkeypatch, who):
    """Not installed, or not one of this operator's."""
    monkeypatch.setattr("muse.probes.peers.find_spec", lambda _: None)
    with pytest.raises(Unmeasured) as caught:
        ask("operator", "speedup", "times", **SCAN, against=who)
    assert caught.value.reason == "no_peer"


@pytest.mark.usefixtures("clock")
def test_a_peer_that_computes_something_else_is_unmeasured(ask, monkeypatch):
    """Its mistake decides nothing about ours."""
    monkeypatch.setitem(PEERS["linear_scan"], "accelerated_scan", Peer(lambda a, b: a * b))
    with pytest.raises(Unmeasured) as caught:
        ask("operator", "speedup", "times", **SCAN, against="accelerated_scan")
    assert caught.value.reason == "peer_disagrees"


@pytest.mark.usefixtures("clock")
def test_a_peer_is_only_asked_for_what_it_can_do():
    """A cumulative sum has no factors."""
    with pytest.raises(Unmeasured, match="does not do"):
        Subject("linear_scan", "2x3x8", "float32", both=False, who="cumsum").arguments(torch.device("cpu"), 0)


SMALL = {
    "bk_core": (5, 9),
    "hyperbolic_attention": (2, 3, 9, 4),
    "hyperbolic_scan": (5, 9, 4),
    "linear_attention": (2, 9, 5, 4),
    "linear_cross_entropy": (9, 20, 4),
    "linear_scan": (2, 20, 9),
    "low_rank_ffn": (9, 8, 4),
    "semiseparable": (2, 9, 4),
    "tensor_train": (9, 30, 12, 3),
    "tensor_train_logits": (9, 30, 12, 3),
}


@pytest.mark.parametrize("name", get_args(Operator))
def test_every_operator_agrees_with_its_definition_on_its_own_part(name):
    """By the arguments of its cases; on the CPU the one is the other, and errs no more."""
    mine = named(name)
    sized = tensor_train_cases.logits if name in HOMES else sys.modules[f"kernels.{name}.cases"].case
    inputs = sized(*SMALL[name]).make_inputs("cpu", torch.float32, 0)
    assert set(PARTS.get(name, {})) <= set(inputs)
    assert 0 < mine.excess(inputs) <= 1


def test_an_unknown_case_is_refused():
    """By the names of those that there are."""
    with pytest.raises(UsageError, match="bk_core has no case '1x1', expected one of 16x4096"):
        named("bk_core").case("1x1")


def test_every_claim_names_a_case_and_a_peer_that_there_are(real_ledger):
    """Otherwise it could only ever be unmeasured."""
    asked = [claim.given for claim in real_ledger.claims if claim.document == "operators" and "case" in claim.given]
    assert asked
    assert [given for given in asked if given["case"] not in named(given["operator"]).cases] == []
    rivals = [(given["operator"], given["against"]) for given in asked if "against" in given]
    assert {who for name, who in rivals if who not in ("reference", *PEERS.get(name, {}))} == set()


def test_a_claim_is_made_stale_by_its_own_operator_and_by_no_other(real_ledger):
    """A change of one kernel asks for one operator's measurements again."""
    [claim] = [claim for claim in real_ledger.claims if claim.id == "operators/bk_core_floor"]
    files = {}
    for module in modules_of(claim):
        provenance._collect(module, files)
    folders = {name.split(".")[1] for name in files if name.startswith("kernels.")}
    assert folders == {"bk_core", "case", "dispatch", "triton"}
    assert {"kernels.bk_core.kernel", "kernels.bk_core.cases", "muse.probes.peers"} <= set(files)
