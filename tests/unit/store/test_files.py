"""Rows are appended, whole or not at all, and never rewritten."""

import fcntl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from muse.claims.claim import Claim, Status
from muse.claims.verdict import Verdict
from muse.errors import StoreError, UsageError
from muse.store.files import RECORDS, append, find_run, new_run, promote, read, read_all
from muse.store.record import Record

CLAIM = {
    "id": "paper/peak",
    "document": "paper",
    "section": "Memory",
    "says": "The peak is 5.80 GiB.",
    "unit": "GiB",
    "protocol": "documented",
    "expect": {"equals": "5.80"},
    "recorded": "confirmed",
}
RECORD = Record(
    id="0",
    run="run",
    time="now",
    claim=Claim.model_validate(CLAIM),
    verdict=Verdict(Status.UNMEASURED, "no_gpu"),
    measurement=None,
    fingerprint="0",
    provenance={"machine": "card"},
)
APPENDER = """
import sys
from dataclasses import replace
from pathlib import Path
from muse.store.files import append
from muse.store.record import Record

file, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
record = Record.from_json(sys.stdin.readline())
for n in range(count):
    append(file, replace(record, id=f"{name}{n}"))
    print(f"{name}{n}", flush=True)
"""


def row(name: str) -> Record:
    """Return a record with this id."""
    return replace(RECORD, id=name)


def ids(file: Path) -> list[str]:
    """Return the ids of the rows of `file`."""
    return [record.id for record in read(file)]


def appender(file: Path, name: str, count: int) -> subprocess.Popen:
    """Start a process that appends rows and prints the id of each finished one."""
    process = subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(file), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdin.write(RECORD.to_json() + "\n")
    process.stdin.flush()
    return process


@pytest.fixture
def file(tmp_path):
    """A file with two rows."""
    file = tmp_path / RECORDS
    append(file, row("a"))
    append(file, row("b"))
    return file


def test_rows_are_read_in_the_order_they_were_added(file):
    """A file is read as it was written."""
    assert read(file) == [row("a"), row("b")]


def test_an_unfinished_last_row_is_absent(file):
    """A row without its line end was never written."""
    with file.open("a") as handle:
        handle.write(row("c").to_json())
    assert ids(file) == ["a", "b"]


def test_the_next_row_takes_the_place_of_an_unfinished_one(file):
    """What a dead writer began does not spoil what follows."""
    with file.open("a") as handle:
        handle.write(row("c").to_json()[:50])
    append(file, row("d"))
    assert ids(file) == ["a", "b", "d"]


def test_a_file_of_one_unfinished_row_is_begun_anew(tmp_path):
    """The first row can be cut off too."""
    file = tmp_path / RECORDS
    file.write_text('{"schema"')
    append(file, row("a"))
    assert ids(file) == ["a"]


def test_appending_leaves_earlier_bytes_alone(file):
    """Evidence is never rewritten."""
    before = file.read_bytes()
    append(file, row("c"))
    assert file.read_bytes().startswith(before)


@pytest.mark.parametrize("damage", [b"{", b"", b"[1]", b"5", b'{"schema":1}', b"\xff\xfe", b"null"])
def test_a_corrupt_row_stops_the_reader_with_its_line(file, damage):
    """An unreadable row is never skipped."""
    first, second, _ = file.read_bytes().split(b"\n")
    file.write_bytes(first + b"\n" + damage + b"\n" + second + b"\n")
    with pytest.raises(StoreError, match=rf"{RECORDS}:2: unreadable row"):
        read(file)


@pytest.mark.parametrize("times", [3, 40])
def test_a_killed_writer_leaves_every_finished_row_readable(tmp_path, times):
    """After SIGKILL every row that was reported as finished is there, and at most one more."""
    file = tmp_path / RECORDS
    process = appender(file, "n", 1_000_000)
    told = [process.stdout.readline().strip() for _ in range(times)]
    process.kill()
    told += process.communicate()[0].split()
    found = ids(file)
    assert process.returncode == -9
    assert found[: len(told)] == told == [f"n{n}" for n in range(len(told))]
    assert len(found) <= len(told) + 1


def test_a_file_goes_on_after_a_killed_writer(tmp_path):
    """The next process appends to what is left."""
    file = tmp_path / RECORDS
    process = appender(file, "n", 1_000_000)
    process.stdout.readline()
    process.kill()
    process.communicate()
    before = ids(file)
    append(file, row("next"))
    assert ids(file) == [*before, "next"]


def test_two_writers_at_once_lose_nothing(tmp_path):
    """Every row of both is whole, and each writer's rows are in its order."""
    file = tmp_path / RECORDS
    writers = [appender(file, name, 300) for name in "ab"]
    for writer in writers:
        writer.communicate(timeout=60)
    found = ids(file)
    for name in "ab":
        assert [i for i in found if i.startswith(name)] == [f"{name}{n}" for n in range(300)]
    assert len(found) == 600


def test_a_writer_waits_for_the_one_before_it(file):
    """Nobody cuts off a row that another process is still writing."""
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        waiting = appender(file, "n", 1)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
    waiting.communicate(timeout=60)
    assert ids(file) == ["a", "b", "n0"]


def test_runs_that_begin_together_get_folders_of_their_own(tmp_path):
    """A run never writes into another's folder."""
    assert len({new_run(tmp_path, "card", "0123456789") for _ in range(3)}) == 3


def test_a_run_is_named_by_time_machine_and_commit(tmp_path):
    """Its folder says when, where and what."""
    assert new_run(tmp_path, "card", "0123456789").name.split("_")[1:] == ["card", "0123456"]


def test_a_run_without_a_commit_says_so(tmp_path):
    """A container without .git has no commit to name."""
    assert new_run(tmp_path, "card", None).name.endswith("_card_no-commit")


@pytest.fixture
def runs(tmp_path):
    """Three runs, the last of them without a record."""
    for name in ("20250101_card", "20250102_card"):
        (tmp_path / name).mkdir()
        append(tmp_path / name / RECORDS, row(name))
    (tmp_path / "20250103_card").mkdir()
    return tmp_path


def test_the_latest_run_is_the_newest_that_has_records(runs):
    """A run that was stopped before its first row has nothing to show."""
    assert find_run(runs, "latest").name == "20250102_card"


def test_a_run_is_found_by_its_name(runs):
    """An older run can be asked for."""
    assert find_run(runs, "20250101_card") == runs / "20250101_card"


@pytest.mark.parametrize("name", ["20250103_card", "yesterday", "../20250101_card"])
def test_an_unknown_run_is_refused_with_those_there_are(runs, name):
    """The message lists the runs that can be asked for."""
    with pytest.raises(UsageError, match="20250101_card, 20250102_card"):
        find_run(runs, name)


def test_without_runs_there_is_no_latest(tmp_path):
    """The message says that there are none."""
    with pytest.raises(UsageError, match="none yet"):
        find_run(tmp_path / "nowhere", "latest")


def test_promotion_moves_the_records_under_their_machine(runs, tmp_path):
    """A run's rows become committed evidence, and leave the run."""
    target = promote(runs / "20250101_card", tmp_path / "results")
    assert target == tmp_path / "results" / "card" / "20250101_card.jsonl"
    assert ids(target) == ["20250101_card"]
    assert not (runs / "20250101_card" / RECORDS).exists()


def test_promotion_takes_along_what_the_run_tuned(runs, tmp_path):
    """Beside the machine's records, with what earlier runs tuned."""
    for folder, name in ((runs / "20250101_card", "new"), (tmp_path / "results" / "card", "old")):
        (folder / "tuned" / name).mkdir(parents=True)
        (folder / "tuned" / name / "k.autotune.json").write_text(name)
    target = promote(runs / "20250101_card", tmp_path / "results")
    kept = sorted(path.parent.name for path in (target.parent / "tuned").glob("*/k.autotune.json"))
    assert kept == ["new", "old"]


def test_promotion_leaves_nothing_but_evidence(runs, tmp_path):
    """No unfinished copy stays behind."""
    target = promote(runs / "20250101_card", tmp_path / "results")
    assert list(target.parent.iterdir()) == [target]


def test_promotion_never_overwrites(runs, tmp_path):
    """Evidence of the same name stays as it is, and so does the run."""
    target = promote(runs / "20250101_card", tmp_path / "results")
    before = target.read_bytes()
    append(runs / "20250101_card" / RECORDS, row("again"))
    with pytest.raises(StoreError, match="never overwritten"):
        promote(runs / "20250101_card", tmp_path / "results")
    assert target.read_bytes() == before
    assert ids(runs / "20250101_card" / RECORDS) == ["again"]


@pytest.mark.parametrize("text", [None, "", '{"schema":1'])
def test_promotion_of_an_empty_run_is_refused(runs, tmp_path, text):
    """Without a complete row there is no evidence."""
    run = runs / "20250103_card"
    if text is not None:
        (run / RECORDS).write_text(text)
    with pytest.raises(StoreError, match="no complete record"):
        promote(run, tmp_path / "results")


def test_promotion_of_an_unreadable_run_is_refused(runs, tmp_path):
    """A run that cannot be read whole is not moved at all."""
    with (runs / "20250101_card" / RECORDS).open("a") as handle:
        handle.write("{}\n")
    with pytest.raises(StoreError, match=f"{RECORDS}:2"):
        promote(runs / "20250101_card", tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_all_evidence_is_read_file_after_file(runs, tmp_path):
    """Promoted runs come back in the order of their names."""
    for name in ("20250102_card", "20250101_card"):
        promote(runs / name, tmp_path / "results")
    assert [record.id for record in read_all(tmp_path / "results")] == ["20250101_card", "20250102_card"]
