"""What a card's tuning chose is kept with its records, and found again before the next timing."""

import os

import pytest

from muse import machine
from muse.config import Settings
from muse.probes import tuned

NAME = "abc/kernel.autotune.json"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Triton's cache, in a folder of its own."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def settings(tmp_path):
    """A project whose records for this machine hold one tuning."""
    file = tmp_path / "results" / machine.slug() / "tuned" / NAME
    file.parent.mkdir(parents=True)
    file.write_text("committed")
    return Settings(tmp_path, results=tmp_path / "results")


def test_a_committed_tuning_is_found_again(cache, settings):
    """Where Triton looks for it."""
    tuned.recall(settings)
    assert (cache / NAME).read_text() == "committed"


def test_what_this_machine_tuned_itself_stays(cache, settings):
    """It is newer than what is committed."""
    (cache / NAME).parent.mkdir(parents=True)
    (cache / NAME).write_text("own")
    tuned.recall(settings)
    assert (cache / NAME).read_text() == "own"


def test_a_run_keeps_what_was_tuned_since_it_recalled_and_nothing_older(cache, settings, tmp_path):
    """What another project tuned before is none of its evidence."""
    old, new, binary = (cache / part / "x.autotune.json" for part in ("old", "new", "binary"))
    binary = binary.with_name("x.cubin")
    for file in (old, new, binary):
        file.parent.mkdir(parents=True)
        file.write_text("")
    since = tuned.recall(settings)
    for file, when in ((old, since - 60), (new, since + 1), (binary, since + 1)):
        os.utime(file, (when, when))
    tuned.keep(tmp_path / "run", since)
    kept = {str(path.relative_to(tmp_path / "run" / "tuned")) for path in (tmp_path / "run").rglob("*.*")}
    assert kept == {NAME, "new/x.autotune.json"}


def test_what_was_tuned_beside_others_is_forgotten(cache, settings):
    """And what was tuned before is not."""
    old, new = (cache / part / "x.autotune.json" for part in ("old", "new"))
    for file in (old, new):
        file.parent.mkdir(parents=True)
        file.write_text("")
    since = tuned.recall(settings)
    for file, when in ((old, since - 60), (new, since + 1)):
        os.utime(file, (when, when))
    tuned.forget(since)
    assert [file.parent.name for file in cache.glob(tuned.TUNINGS)] == ["old"]
