"""A run goes on where another was cut off: what still holds is not measured again."""

import re

import pytest

from muse.store.files import read
from tests.unit.plugin.conftest import IDS, LEDGER, outcomes


@pytest.fixture(scope="session")
def resumed(project):
    """A project whose first run was cut off after the first claims, and its second run."""
    made = project(LEDGER)
    made.run("-k", "holds")
    made.first = {row.claim.id: row.id for row in read(made.records()[0])}
    made.done = made.run("--junitxml=results.xml")
    return made


def test_a_run_goes_on_where_another_was_cut_off(resumed):
    """What was measured is not measured again, and the verdicts are the same."""
    assert "replayed: 2 of 7 claims, measured before; --fresh measures all" in resumed.done.stdout
    assert "paper: 2 confirmed, 1 refuted, 1 inconclusive, 3 unmeasured" in resumed.done.stdout
    assert [row.claim.id for row in read(resumed.records()[1])] == [f"paper/{id_}" for id_ in IDS[2:]]


def test_a_reused_claim_names_its_record(resumed):
    """Among the test's properties, where other programs read it."""
    told = (resumed.folder / "results.xml").read_text()
    assert re.findall(r'name="replayed" value="(\w+)"', told) == list(resumed.first.values())


def test_a_second_run_measures_nothing_and_ends_as_the_first(resumed):
    """Only what could not be measured is tried again."""
    done = resumed.run()
    assert outcomes(done) == outcomes(resumed.done)
    assert (done.returncode, "replayed: 4 of 7 claims" in done.stdout) == (0, True)
    assert [row.claim.id for row in read(resumed.records()[-1])] == [f"paper/{id_}" for id_ in IDS[4:]]


def test_a_run_that_reuses_everything_leaves_no_records(resumed):
    """Evidence is appended once, and an empty run is no run."""
    before = resumed.records()
    done = resumed.run("-k", "holds or wrong or vague")
    assert "records:" not in done.stdout
    assert resumed.records() == before


@pytest.mark.parametrize("option", ["--fresh", "--benchmark-json=benchmark.json"])
def test_a_fresh_run_measures_all(resumed, option):
    """So does one that keeps its times, for a record has none."""
    done = resumed.run("-k", "holds", option)
    assert "replayed" not in done.stdout
    assert len(read(resumed.records()[-1])) == 2


def test_two_workers_reuse_as_one_does(resumed):
    """Each reads what this machine has."""
    done = resumed.run("-n", "2", "-k", "holds or wrong")
    assert "replayed: 3 of 3 claims" in done.stdout
    assert done.returncode == 0


def test_a_changed_claim_alone_is_measured(project):
    """With the verdict on what it says now."""
    made = project(LEDGER)
    made.run("-k", "holds or wrong")
    made.file.write_text(LEDGER.replace("documented: 30.0", "documented: 40.0"))
    done = made.run("-k", "holds or wrong")
    assert outcomes(done) == {"holds[small]": "PASSED", "holds[large]": "FAILED", "wrong": "XFAIL"}
    assert [row.claim.id for row in read(made.records()[-1])] == ["paper/holds[large]"]


def test_a_reused_verdict_is_compared_with_the_word_of_today(project):
    """Evidence that contradicts a newly recorded verdict is red, without another measurement."""
    made = project(LEDGER)
    made.run("-k", "wrong")
    made.file.write_text(LEDGER.replace("recorded: refuted", "recorded: confirmed"))
    done = made.run("-k", "wrong")
    assert outcomes(done) == {"wrong": "FAILED"}
    assert "replayed: 1 of 1 claims" in done.stdout


def test_committed_evidence_is_replayed_where_that_is_asked_for(project):
    """Else a clone measures for itself; a run that measures all replays nothing."""
    made = project(LEDGER)
    made.run("-k", "holds")
    [own] = made.records()
    committed = made.folder / "reports/results" / own.parent.name.split("_")[1] / "run.jsonl"
    committed.parent.mkdir(parents=True)
    own.rename(committed)
    assert "replayed: 2 of 2 claims" in made.run("-k", "holds", "--replay").stdout
    assert "replayed" not in made.run("-k", "holds").stdout
    refused = made.run("-k", "holds", "--replay", "--fresh")
    assert refused.returncode == 4
    assert "--fresh measures all, --replay as little as it can; give one of them" in refused.stderr


def test_another_machine_s_evidence_is_not_reused(resumed):
    """A card that was not there before measures everything itself."""
    done = resumed.run("--card", "-k", "holds")
    assert "replayed" not in done.stdout
    assert len(read(resumed.records()[-1])) == 2


def test_unreadable_evidence_stops_the_run_with_file_and_line(project):
    """Exit code 4; nothing is decided beside evidence that cannot be trusted."""
    made = project(LEDGER)
    made.run("-k", "holds")
    [file] = made.records()
    file.write_text(file.read_text() + "not a record\n")
    done = made.run("-k", "holds")
    assert (done.returncode, outcomes(done)) == (4, {})
    assert f"{file}:3: unreadable row" in done.stdout + done.stderr
