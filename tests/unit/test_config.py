"""Settings come from defaults, then `[tool.muse]`, then `MUSE_*`, then flags."""

import os
from pathlib import Path

import pytest

from muse.config import Settings, load_settings
from muse.errors import UsageError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder whose pyproject.toml holds the given `[tool.muse]`, with no MUSE_* in the environment."""
    for name in [name for name in os.environ if name.startswith("MUSE_")]:
        monkeypatch.delenv(name)

    def write(table: str = "") -> Path:
        (tmp_path / "pyproject.toml").write_text(f"[tool.muse]\n{table}\n")
        return tmp_path

    return write


def test_an_empty_table_gives_the_defaults(project):
    """Without statements of its own a project runs with the documented defaults."""
    root = project()
    assert load_settings(root) == Settings(root)


def test_the_project_is_found_from_a_folder_inside_it(project):
    """The nearest pyproject.toml upwards that has the table is the root."""
    root = project()
    inside = root / "a" / "b"
    inside.mkdir(parents=True)
    assert load_settings(inside).root == root


def test_outside_of_a_project_the_folder_itself_is_the_root(tmp_path):
    """And not the package's own, whose ledger nobody there has asked for."""
    assert load_settings(tmp_path).root == tmp_path


def test_the_table_overrides_the_defaults(project):
    """A key of `[tool.muse]` replaces the default."""
    assert load_settings(project("timeout = 5")).timeout == 5.0


def test_the_environment_overrides_the_table(project, monkeypatch):
    """MUSE_TIMEOUT wins over `timeout`."""
    monkeypatch.setenv("MUSE_TIMEOUT", "7.5")
    assert load_settings(project("timeout = 5")).timeout == 7.5


def test_a_flag_overrides_the_environment(project, monkeypatch):
    """What the command line says wins over MUSE_TIMEOUT."""
    monkeypatch.setenv("MUSE_TIMEOUT", "7.5")
    assert load_settings(project("timeout = 5"), timeout=9.0).timeout == 9.0


def test_a_flag_that_was_not_given_changes_nothing(project):
    """None is the absence of a flag."""
    assert load_settings(project("timeout = 5"), timeout=None).timeout == 5.0


def test_an_unknown_key_is_refused_with_the_allowed_ones(project):
    """A misspelt key names itself, its file and the keys there are."""
    root = project("time_out = 5")
    with pytest.raises(UsageError, match=r"pyproject\.toml.*'time_out'.*allowed are .*timeout"):
        load_settings(root)


@pytest.mark.parametrize("line", ['timeout = "soon"', "timeout = [1]", "claims = 5"])
def test_a_value_of_the_wrong_type_is_refused_in_one_line(project, line):
    """The message names the setting and what was found."""
    root = project(line)
    with pytest.raises(UsageError, match=f"^setting {line.split()[0]} must be a .*, not .*$"):
        load_settings(root)


def test_a_relative_folder_lies_under_the_root(project):
    """Paths are relative to the project, not to where the program was started."""
    root = project('runs = "here/runs"')
    assert load_settings(root).path("runs") == root / "here/runs"


def test_an_absolute_folder_stays_where_it_is(project):
    """An absolute path is taken as it stands."""
    root = project()
    assert load_settings(root, runs=root.parent / "elsewhere").path("runs") == root.parent / "elsewhere"
