"""Which evidence still decides a claim, so that a run need not measure it again."""

from dataclasses import replace

import pytest

from muse import machine
from muse.claims.claim import Status
from muse.store import files, provenance
from muse.verify import (
    changed,
    held,
    reuse,
)

OWN_RUN = f"runs/20260101T000000Z_{machine.slug()}_abc"


@pytest.fixture
def kept(tmp_path, settings, ended):
    """Keeps records as evidence of this machine or in a folder of results, and gives what is held afterwards."""
    place = replace(settings, runs=tmp_path / "runs", results=tmp_path / "results")

    def keep(*records, folder=OWN_RUN, **asked):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for record in records:
            files.append(tmp_path / folder / files.RECORDS, record)
        return held(place, **asked)

    return keep


@pytest.mark.parametrize("status", ["confirmed", "refuted", "inconclusive"])
def test_a_measured_record_of_this_clone_is_reused(kept, ended, status):
    """Whatever its verdict."""
    record = ended(status)
    assert reuse(record.claim, kept(record)).id == record.id


def test_a_committed_record_is_reused_where_that_is_asked_for(kept, ended):
    """Somebody else may have measured it."""
    record, folder = ended("confirmed"), f"results/{machine.slug()}"
    assert reuse(record.claim, kept(record, folder=folder)) is None
    assert reuse(record.claim, kept(folder=folder, committed=True)).id == record.id


def test_an_unmeasured_record_is_never_reused(kept, ended):
    """A reason not to measure may be gone by now."""
    record = ended("unmeasured")
    assert reuse(record.claim, kept(record)) is None


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "another"},
        {"gpu": {"name": "another"}},
        {"gpu": {"driver": "another"}},
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
