"""What changed between two sets of records, and the page that a job or a pull request shows."""

import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from muse.claims.claim import Scope, Status
from muse.claims.measurement import certain
from muse.claims.verdict import Verdict
from muse.reporting.history import Kind, compare, markdown
from muse.reporting.summary import LIMIT, MARKER, capped
from muse.reporting.summary import summary as page
from muse.store import files
from muse.store.record import Record


@pytest.fixture
def record(a_claim):
    """Makes the record of a claim by its name, verdict and value in seconds."""

    def make(name="one", status="confirmed", value=1.0, **changes):
        claim = a_claim(None, None, "s", id=f"paper/{name}", cause="It is so." if status != "confirmed" else None)
        measured = None if status == "unmeasured" else certain(value, Scope.MEASURED)
        verdict = Verdict(Status(status), "no_gpu" if measured is None else "why")
        taken = Record(f"{name}-{status}", "run", "2026-01-01T00:00:00+00:00", claim, verdict, measured, "", {})
        return replace(taken, **changes)

    return make


@pytest.fixture
def written(tmp_path):
    """Writes records as a file of a folder, and gives the file."""

    def write(folder, *records):
        file = tmp_path / folder / "run.jsonl"
        file.parent.mkdir(parents=True)
        for one in records:
            files.append(file, one)
        return file

    return write


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (("confirmed", 1.0), ("refuted", 2.0), Kind.VERDICT),
        (("inconclusive", 1.0), ("confirmed", 1.0), Kind.VERDICT),
        (("confirmed", 1.0), ("confirmed", 1.002), Kind.FIGURE),
        (("unmeasured", 0), ("confirmed", 1.0), Kind.MEASURED),
        (("refuted", 1.0), ("unmeasured", 0), Kind.UNMEASURED),
    ],
)
def test_a_claim_s_evidence_changes_in_one_of_these_ways(record, before, after, kind):
    """A claim that one side could not measure contradicts nothing."""
    [change] = compare([record("one", *before)], [record("one", *after)])
    assert (change.id, change.kind) == ("paper/one", kind)


@pytest.mark.parametrize("status", ["confirmed", "unmeasured"])
def test_what_is_printed_alike_has_not_changed(record, status):
    """Four digits are shown; what lies below them is no news."""
    assert compare([record("one", status, 1.0)], [record("one", status, 1.0002)]) == []


def test_claims_come_and_go(record):
    """The gravest change stands first, whatever the order of the records."""
    changes = compare([record("old"), record("kept")], [record("new"), record("kept", "refuted")])
    assert [(c.kind, c.id) for c in changes] == [
        (Kind.VERDICT, "paper/kept"),
        (Kind.NEW, "paper/new"),
        (Kind.GONE, "paper/old"),
    ]


def test_the_newest_measurement_of_each_side_is_compared(record):
    """As a report would show it."""
    older = record("one", "refuted", time="2025-01-01T00:00:00+00:00")
    assert compare([record(), older], [record(), record("one", "unmeasured")]) == []


@pytest.mark.parametrize(("before", "after", "share"), [(2.0, 3.0, "+50.00 %"), (-2.0, -3.0, "-50.00 %"), (0, 1.0, "")])
def test_a_change_is_a_share_of_what_was(record, before, after, share):
    """Signed, and nothing where it was zero."""
    assert compare([record("one", "confirmed", before)], [record("one", "confirmed", after)])[0].share == share


@pytest.mark.parametrize(("status", "code"), [("refuted", 1), ("confirmed", 0), ("unmeasured", 0)])
def test_diff_ends_with_1_only_when_a_verdict_changed(muse, written, record, status, code):
    """A changed figure and a claim that comes or goes are told, and end with 0."""
    old, new = written("old", record(), record("gone")), written("new", record("one", status, 2.0), record("new"))
    ended, out, errors = muse("diff", str(old), str(new.parent))
    assert (ended, errors) == (code, [])
    assert "  paper/one: confirmed, 1.000 s -> " in out
    assert "new: 1\n  paper/new: confirmed, 1.000 s\ngone: 1\n  paper/gone: confirmed, 1.000 s\n" in out


def test_diff_of_the_same_says_so(muse, written, record):
    """One line, also in Markdown."""
    file = str(written("same", record()))
    assert muse("diff", file, file)[:2] == (0, "no verdict and no figure changed\n")
    assert "No verdict and no figure changed." in muse("diff", file, file, "--markdown")[1]


def test_diff_as_json_has_both_sides_with_verdict_and_value(muse, written, record):
    """In the base of the unit's dimension; nothing stands for a side that is not there."""
    old, new = written("old", record()), written("new", record("one", "refuted", 1.5), record("two"))
    changed, added = json.loads(muse("diff", str(old), str(new), "--json")[1])
    assert changed == {
        "claim": "paper/one",
        "change": "verdict changed",
        "before": {"record": "one-confirmed", "verdict": "confirmed", "reason": "why", "value": 1.0},
        "after": {"record": "one-refuted", "verdict": "refuted", "reason": "why", "value": 1.5},
        "relative": 0.5,
    }
    assert (added["claim"], added["before"], added["relative"]) == ("paper/two", None, None)


def test_a_git_revision_stands_for_its_committed_results(muse, written, record, tmp_path, monkeypatch):
    """The files need not be in the working tree."""
    results = written("results/machine", record()).parents[1]
    (tmp_path / "pyproject.toml").write_text("[tool.muse]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSE_RESULTS", "results")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Evidence"]):
        subprocess.run([*git, *words], check=True)
    shutil.rmtree(results)
    now = str(written("now", record("one", "refuted")))
    code, out, _ = muse("diff", "HEAD", now)
    assert (code, out.splitlines()[0]) == (1, "verdict changed: 1")
    monkeypatch.setenv("MUSE_RESULTS", "elsewhere")
    assert muse("diff", "HEAD", now)[::2] == (2, ["muse: HEAD: there are no records in it"])


def test_an_unreadable_row_of_a_revision_names_the_revision_and_the_line(muse, tmp_path, monkeypatch):
    """Not the folder that it was unpacked into."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/run.jsonl").write_text("no record\n")
    (tmp_path / "pyproject.toml").write_text("[tool.muse]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSE_RESULTS", "results")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "Bad"],
    ):
        subprocess.run(["git", *words], check=True)
    code, _, [error] = muse("diff", "HEAD", "results")
    assert (code, error[:45]) == (4, "muse: HEAD:results/run.jsonl:1: unreadable ro")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere", "muse: nowhere: no such file, folder or git revision"),
        ("--output=x", "muse: --output=x: no such file, folder or git revision"),
        ("tests/claims", "muse: tests/claims: there are no records in it"),
    ],
)
def test_a_source_without_records_is_one_line_and_exit_code_2(muse, source, told):
    """Whether there is nothing of that name, or nothing in it."""
    assert muse("diff", "--", source, source) == (2, "", [told])


def test_a_table_of_changes_holds_any_address(record):
    """A column's mark within an address does not end the cell."""
    rows = list(markdown(compare([], [record("a[b|c]")])))
    assert "| `paper/a[b\\|c]` |  | confirmed, 1.000 s |  |" in rows


def test_the_summary_counts_verdicts_and_tells_what_is_not_confirmed_and_why(record):
    """The hidden first line is how a comment is found again."""
    records = [record(), record("two", "refuted"), record("three", "unmeasured")]
    lines = page(records, lambda one: one is records[1], None, []).splitlines()
    assert lines[0] == MARKER
    assert "| paper | 3 | 1 | 1 | 0 | 1 | 1 |" in lines
    assert "| all | 3 | 1 | 1 | 0 | 1 | 1 |" in lines
    assert [line for line in lines if line.startswith("- ")] == ["- `paper/two`: refuted. It is so. *It is so.*"]
    assert not any("Changed since" in line for line in lines)


def test_the_summary_tells_what_changed_since_its_base(muse, written, record, tmp_path, monkeypatch):
    """Committed and own records together, against a base."""
    base = written("base", record(), record("old", "refuted"))
    written("results/machine", record("two"), record("old", "refuted"))
    written("runs/run", record("one", "refuted", time="2026-02-01T00:00:00+00:00"))
    code, out, errors = muse("summary", "--base", str(base))
    assert (code, errors) == (0, [])
    assert f"## Changed since {base}".replace("_", r"\_") in out
    assert "| `paper/one` | confirmed, 1.000 s | refuted, 1.000 s | +0.00 % |" in out
    assert "**verdict changed**: 1" in out
    assert "<details><summary>new: 1</summary>" in out
    assert [line[:12] for line in out.splitlines() if line.startswith("- ")] == ["- `paper/one"]


def test_a_summary_has_room_in_a_job(record):
    """A million bytes at most, cut between lines, and the last line says how many were left out."""
    records = [record(f"claim{n}", "refuted") for n in range(20_000)]
    cut = page(records, lambda _: False, None, [])
    shown = cut.count("- `paper/claim")
    assert LIMIT - 400 < len(cut.encode()) <= LIMIT < 2**20
    assert cut.splitlines()[-1].startswith(f"*Left out: the last {20_000 - shown} of ")


@pytest.mark.parametrize(("limit", "left"), [(1000, "900 of 1000"), (999_999, None)])
def test_a_page_is_cut_only_where_it_is_too_long(limit, left):
    """Bytes count, and not characters."""
    text = capped(["é" * 3 + "x"] * 1000, limit)
    assert len(text.encode()) <= limit
    assert (left is None) == ("Left out" not in text)
    assert left is None or left in text


def test_the_history_of_a_claim_tells_every_record_of_it(muse, settings, monkeypatch):
    """The oldest first, with day, commit, machine, verdict and value; what no GPU decided is none."""
    address = "operators/bk_core_floor"
    monkeypatch.setenv("MUSE_RESULTS", str(settings.root / "reports/results"))
    taken = [r for r in files.read_all(settings.root / "reports/results") if r.claim.id == address and r.measurement]
    code, out, _ = muse("history", address)
    first, *lines, last = out.splitlines()
    assert (code, last) == (0, f"{len(taken)} records")
    assert first.startswith(f"{address}: ")
    assert [line.split()[0] for line in lines] == sorted(r.time[:10] for r in taken)
    assert all("nvidia-h100-80gb-hbm3" in line and "times, between" in line for line in lines)
    facts = json.loads(muse("history", address, "--json")[1])
    assert sorted(one["value"] for one in facts) == sorted(float(r.measurement.value) for r in taken)
    assert [one["stale"] for one in facts][-1] is False


def test_the_history_of_several_claims_is_refused(muse):
    """In one line, that names one of them."""
    code, _, [error] = muse("history", "operators/bk_core")
    assert code == 2
    assert "is part of" in error
