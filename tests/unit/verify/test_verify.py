"""Claim, probe, measurement, verdict, record: what is remembered, and what a run ends with."""

from types import SimpleNamespace

import pytest

from muse import verify as story
from muse.claims.claim import Ledger
from muse.errors import ClaimInconclusive, ClaimRefuted, Unmeasured, UsageError, VerdictChanged
from muse.memory.card import card as known_card
from muse.probes import PROBES, comparison, memory
from muse.store import files, provenance
from muse.verify import (
    changed,
    enforce,
    exit_code,
    fingerprint,
    possible,
    select,
    stale,
    told,
    verify,
)


@pytest.mark.parametrize(("expected", "status"), [("3.0", "confirmed"), ("4.0", "refuted")])
def test_a_claim_is_measured_judged_and_recorded(run, arithmetic, expected, status):
    """The record that comes back is the one row of the run."""
    record = verify(arithmetic(expected), run)
    assert record.verdict.status == status
    assert [row.id for row in files.read(run.records)] == [record.id]
    assert (record.run, record.claim.id, float(record.measurement.value)) == ("run", "paper/claim", 3.0)


@pytest.mark.usefixtures("no_card")
def test_without_a_gpu_a_gpu_claim_is_unmeasured_and_recorded(run, memory_claim):
    """It is a row with its reason, not an absence."""
    record = verify(memory_claim("phase8_maximum"), run)
    assert (record.verdict.status, record.verdict.reason, record.measurement) == ("unmeasured", "no_gpu", None)
    assert len(files.read(run.records)) == 1


def test_a_sentence_that_nothing_decides_is_unmeasured_with_its_cause(run, a_claim):
    """The claim's own words say why."""
    verdict = verify(a_claim(None, None, cause="The script was lost."), run).verdict
    assert (verdict.status, verdict.reason, verdict.detail) == ("unmeasured", "no_probe", "The script was lost.")


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("probe", [name for name, signature in PROBES.items() if signature.timed])
def test_a_timing_is_refused_beside_other_workers(a_claim, probe):
    """Even where there is a GPU."""
    with pytest.raises(Unmeasured) as caught:
        possible(a_claim(probe, None), crowded=True)
    assert caught.value.reason == "timed_under_xdist"
    possible(a_claim(probe, None), crowded=False)


@pytest.mark.usefixtures("card")
def test_memory_may_be_measured_beside_other_workers(memory_claim):
    """Allocated bytes of one process do not depend on another's."""
    possible(memory_claim("phase8_maximum"), crowded=True)


def test_a_crash_of_a_probe_is_not_a_verdict(run, arithmetic):
    """It ends the test with its own error and leaves no row."""
    with pytest.raises(ZeroDivisionError):
        verify(arithmetic(given={"operation": "change", "operands": [1, 0]}), run)
    assert not run.records.exists()


@pytest.mark.usefixtures("card")
def test_an_out_of_memory_ends_its_claim_and_no_other(run, memory_claim, arithmetic, monkeypatch):
    """The run goes on, and every claim has its row."""

    def isolate(*args, **kwargs):
        raise Unmeasured("out_of_memory", "CUDA out of memory")

    monkeypatch.setattr(memory, "isolate", isolate)
    monkeypatch.setattr(memory, "this_card", lambda: known_card("h100"))
    for claim in (arithmetic(), memory_claim("phase8_maximum"), arithmetic()):
        verify(claim, run)
    rows = [(row.verdict.status, row.verdict.reason) for row in files.read(run.records)]
    assert rows == [("confirmed", "within_bound"), ("unmeasured", "out_of_memory"), ("confirmed", "within_bound")]


@pytest.mark.parametrize(
    ("status", "recorded", "expected"),
    [
        ("confirmed", "confirmed", False),
        ("refuted", "confirmed", True),
        ("confirmed", "refuted", True),
        ("inconclusive", "refuted", True),
        ("unmeasured", "confirmed", False),
        ("unmeasured", "refuted", False),
        ("confirmed", "unmeasured", True),
    ],
)
def test_a_verdict_has_changed_when_it_is_another_than_recorded(ended, status, recorded, expected):
    """A claim that was not measured contradicts nothing."""
    assert changed(ended(status, recorded)) is expected


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([], 0),
        ([("confirmed", "confirmed", "within_bound"), ("refuted", "refuted", "outside_bound")], 0),
        ([("unmeasured", "confirmed", "no_gpu")], 0),
        ([("unmeasured", "unmeasured", "no_probe")], 0),
        ([("unmeasured", "confirmed", "timed_under_xdist")], 0),
        ([("unmeasured", "confirmed", "out_of_memory")], 3),
        ([("unmeasured", "confirmed", "timeout")], 3),
        ([("refuted", "confirmed", "outside_bound")], 1),
        ([("unmeasured", "confirmed", "worker_killed"), ("confirmed", "refuted", "within_bound")], 1),
    ],
)
def test_the_exit_code_says_how_a_run_ended(ended, ends, code):
    """0 as recorded, 1 a verdict changed, 3 something that this machine should have measured was not."""
    assert exit_code([ended(*one) for one in ends]) == code


@pytest.mark.parametrize(
    ("status", "recorded", "error"),
    [
        ("refuted", "confirmed", ClaimRefuted),
        ("refuted", "refuted", ClaimRefuted),
        ("inconclusive", "confirmed", ClaimInconclusive),
        ("confirmed", "unmeasured", VerdictChanged),
    ],
)
def test_a_test_runner_sees_a_verdict_that_is_not_confirmed(ended, status, recorded, error):
    """Whether it is expected is the runner's business."""
    with pytest.raises(error, match="paper/claim"):
        enforce(ended(status, recorded))


@pytest.mark.parametrize(
    ("status", "recorded"), [("confirmed", "confirmed"), ("confirmed", "refuted"), ("unmeasured", "confirmed")]
)
def test_a_confirmed_or_unmeasured_claim_raises_nothing(ended, status, recorded):
    """A strict expected failure that passes is the runner's to tell; a skip is the plugin's."""
    enforce(ended(status, recorded))


def test_a_verdict_is_told_with_its_value_in_the_claim_s_unit(ended):
    """One line that a reader can act on."""
    assert (
        told(ended("refuted", reason="outside_bound")) == "paper/claim: refuted, outside_bound, 3.000 times: It is so."
    )


def test_the_source_of_the_model_is_part_of_the_fingerprint(memory_claim, monkeypatch):
    """A change in Phase 8's file makes Phase 8's evidence stale, and leaves Phase 7's fresh."""
    claims = [memory_claim("phase7_maximum"), memory_claim("phase8_maximum")]
    before = [fingerprint(claim) for claim in claims]
    real = provenance._read

    def read(path):
        digest, imports = real(path)
        return (digest + "changed" if path.name == "phase8.py" else digest), imports

    monkeypatch.setattr(provenance, "_read", read)
    after = [fingerprint(claim) for claim in claims]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]


@pytest.mark.parametrize("key", ["against", "sequence"])
def test_every_model_that_a_claim_names_is_part_of_the_fingerprint(memory_claim, monkeypatch, key):
    """Also the one it is compared with, and those measured before it."""
    claim = memory_claim("phase7_maximum")
    other = "phase8_maximum" if key == "against" else ["phase7_maximum", "phase8_maximum"]
    claim = claim.model_copy(update={"given": {**claim.given, key: other}})
    before, real = fingerprint(claim), provenance._read
    monkeypatch.setattr(provenance, "_read", lambda p: (real(p)[0] + p.name * (p.name == "phase8.py"), real(p)[1]))
    assert fingerprint(claim) != before


@pytest.mark.parametrize("module", [memory, comparison])
def test_the_source_of_the_probe_is_part_of_the_fingerprint(memory_claim, monkeypatch, module):
    """And of everything that it imports."""
    claim, real = memory_claim("phase8_maximum"), provenance._read
    before = fingerprint(claim)
    monkeypatch.setattr(provenance, "_read", lambda p: (real(p)[0] + "x" * (str(p) == module.__file__), real(p)[1]))
    assert fingerprint(claim) != before


def test_another_bound_makes_a_record_stale_and_another_sentence_does_not(run, arithmetic):
    """What was judged has changed, or only how it is told."""
    record = verify(arithmetic(), run)
    for claim, expected in ((arithmetic(), False), (arithmetic("3.1"), True), (arithmetic(says="It is."), False)):
        assert stale(record, Ledger({}, (claim,))) is expected


def test_a_record_of_a_vanished_claim_is_stale(run, arithmetic):
    """Nothing stands behind it any more."""
    assert stale(verify(arithmetic(), run), Ledger({}))


def test_claims_are_selected_by_a_part_of_their_address(a_claim):
    """In the ledger's order; everything without one."""
    ledger = Ledger({}, tuple(a_claim(None, None, id=f"paper/{name}") for name in ("peak", "model", "peak_change")))
    assert [claim.id for claim in select(ledger, "peak")] == ["paper/peak", "paper/peak_change"]
    assert len(select(ledger, None)) == 3


def test_an_address_that_is_not_there_names_its_neighbours(a_claim):
    """A slip of the keyboard is answered with what was meant."""
    ledger = Ledger({}, (a_claim(None, None, id="paper/peak_vram"),))
    with pytest.raises(UsageError, match=r"'paper/peek_vram'; near are paper/peak_vram"):
        select(ledger, "paper/peek_vram")


def test_a_missing_folder_of_claims_says_what_to_do(tmp_path):
    """It names the folder and the variable that moves it."""
    with pytest.raises(UsageError, match=r"no such folder; .*MUSE_CLAIMS"):
        story.open_ledger(SimpleNamespace(path=lambda _: tmp_path / "nowhere"))
