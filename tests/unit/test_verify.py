"""Claim, probe, measurement, verdict, record: what is remembered, and what a run ends with."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from muse import machine
from muse import verify as story
from muse.claims.claim import Expect, Ledger, Status
from muse.claims.verdict import Verdict
from muse.errors import ClaimInconclusive, ClaimRefuted, Unmeasured, UsageError, VerdictChanged
from muse.machine import Gpu
from muse.probes import PROBES, comparison, memory
from muse.store import files, provenance
from muse.verify import (
    Run,
    changed,
    enforce,
    exit_code,
    fingerprint,
    held,
    possible,
    reuse,
    select,
    stale,
    told,
    verify,
)

CARD = Gpu(0, "GPU-aaaa", "NVIDIA H100", 80 * 2**30, "550.1")
OWN_RUN = f"runs/20260101T000000Z_{machine.slug()}_abc"
SUM = {"operation": "sum", "operands": ["1.0", "2.0"]}


@pytest.fixture
def run(tmp_path, settings):
    """A run of its own."""
    (tmp_path / "run").mkdir()
    return Run(settings, tmp_path / "run")


@pytest.fixture
def arithmetic(a_claim):
    """A claim that 1.0 + 2.0 is a number of times."""

    def make(expected="3.0", **changes):
        stated = {"given": SUM, "expect": Expect(attainable=expected), **changes}
        return a_claim("arithmetic", "result", "times", **stated)

    return make


@pytest.fixture
def no_card(monkeypatch):
    """A machine without a GPU."""
    monkeypatch.setattr(machine, "gpus", tuple)


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A machine with one card, whose lock file is in a folder of its own."""
    monkeypatch.setattr(machine, "gpus", lambda: (CARD,))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def ended(run, arithmetic):
    """A record that ended with a status, of a claim recorded with one."""
    sample = verify(arithmetic(), run)

    def make(status, recorded="confirmed", reason="why"):
        claim = sample.claim.model_copy(update={"recorded": Status(recorded)})
        return replace(sample, claim=claim, verdict=Verdict(Status(status), reason))

    return make


@pytest.fixture
def memory_claim(a_claim):
    """A claim about measured memory."""
    return lambda model, **changes: a_claim("memory", "peak", "B", given={"model": model}, **changes)


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
        possible(a_claim(probe, None), xdist=True)
    assert caught.value.reason == "timed_under_xdist"
    possible(a_claim(probe, None), xdist=False)


@pytest.mark.usefixtures("card")
def test_memory_may_be_measured_beside_other_workers(memory_claim):
    """Allocated bytes of one process do not depend on another's."""
    possible(memory_claim("phase8_maximum"), xdist=True)


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


@pytest.fixture
def kept(tmp_path, settings, ended):
    """Keeps records as evidence of this machine or in a folder of results, and gives what is held afterwards."""
    place = replace(settings, runs=tmp_path / "runs", results=tmp_path / "results")

    def keep(*records, folder=OWN_RUN):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for record in records:
            files.append(tmp_path / folder / files.RECORDS, record)
        return held(place)

    return keep


@pytest.mark.parametrize("status", ["confirmed", "refuted", "inconclusive"])
@pytest.mark.parametrize("folder", [OWN_RUN, f"results/{machine.slug()}"])
def test_a_measured_record_of_this_machine_is_reused(kept, ended, status, folder):
    """Whatever its verdict, and whether it is committed or this machine's own."""
    record = ended(status)
    assert reuse(record.claim, kept(record, folder=folder)).id == record.id


def test_an_unmeasured_record_is_never_reused(kept, ended):
    """A reason not to measure may be gone by now."""
    record = ended("unmeasured")
    assert reuse(record.claim, kept(record)) is None


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "another"},
        {"gpu": {"name": "another"}},
        {"packages": {"torch": "0.1"}},
        {"packages": {"torch": provenance._version("torch"), "triton": "0.1"}},
        {"environment": {"NVIDIA_TF32_OVERRIDE": "1"}},
    ],
)
def test_a_record_of_another_place_is_not_reused(kept, ended, other):
    """Another machine, GPU, PyTorch, Triton or variable may measure something else."""
    record = ended("confirmed")
    assert reuse(record.claim, kept(replace(record, provenance={**record.provenance, **other}))) is None


def test_which_of_equal_gpus_it_was_does_not_matter(kept, ended):
    """A container may number them differently."""
    record = ended("confirmed")
    other = {**record.provenance, "environment": {"CUDA_VISIBLE_DEVICES": "7"}}
    assert reuse(record.claim, kept(replace(record, provenance=other))).id == record.id


def test_a_record_of_another_bound_or_another_source_is_not_reused(kept, ended, arithmetic, monkeypatch):
    """It is stale."""
    known = kept(ended("confirmed"))
    assert reuse(arithmetic("3.1"), known) is None
    real = provenance._read
    monkeypatch.setattr(provenance, "_read", lambda p: (real(p)[0] + "x" * (p.name == "arithmetic.py"), real(p)[1]))
    assert reuse(arithmetic(), known) is None


def test_the_newest_record_is_reused_with_the_claim_of_today(kept, ended):
    """Its prose and its recorded verdict may have changed since."""
    days = {"old": "2026-01-01T00:00:00+00:00", "new": "2026-01-02T00:00:00+00:00"}
    old, new = (replace(ended("refuted"), id=id_, time=time) for id_, time in days.items())
    today = old.claim.model_copy(update={"recorded": Status.REFUTED, "says": "It is."})
    found = reuse(today, kept(new, old))
    assert (found.id, found.claim, changed(found)) == ("new", today, False)
