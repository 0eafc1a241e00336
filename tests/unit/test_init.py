"""`muse init` writes what a project lacks, and changes nothing that is there."""

import pytest

from muse.claims.ledger import load_ledger
from muse.models import OWN, PRESETS
from muse.probes import PROBES


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a project registers is forgotten again."""
    monkeypatch.setenv("MUSE_NETWORKS", "{}")
    own, presets = dict(OWN), dict(PRESETS)
    yield
    for table, before in ((OWN, own), (PRESETS, presets)):
        table.clear()
        table.update(before)


def files(folder):
    """The text of each file by its name."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_becomes_a_project(muse, tmp_path):
    """Every file is told."""
    code, out, _ = muse("init", str(tmp_path / "new"))
    assert code == 0
    assert {line.removeprefix(f"{tmp_path}/new/") for line in out.splitlines()[:-1]} == set(files(tmp_path / "new"))
    assert ".github/workflows/claims.yml" in files(tmp_path / "new")


def test_what_is_there_stays(muse, tmp_path):
    """The configuration and the ignored files get what they lack; a second time nothing is written."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\n')
    (tmp_path / ".gitignore").write_text("*.pt\n.muse/\n")
    (tmp_path / "model.py").write_text("MINE = 1\n")
    muse("init", str(tmp_path))
    found = files(tmp_path)
    assert found["model.py"] == "MINE = 1\n"
    assert found["pyproject.toml"].startswith('[project]\nname = "mine"\n\n[tool.muse]\n')
    assert found[".gitignore"] == "*.pt\n.muse/\n__pycache__/\n"
    _, out, _ = muse("init", str(tmp_path))
    assert len(out.splitlines()) == 1
    assert files(tmp_path) == found


def test_a_project_with_claims_gets_no_example(muse, tmp_path):
    """Only the test that decides them, and a workflow."""
    (tmp_path / "tests/claims/paper").mkdir(parents=True)
    (tmp_path / "tests/claims/paper/document.yaml").write_text("title: A paper\n")
    muse("init", str(tmp_path))
    assert set(files(tmp_path)) == {
        "pyproject.toml",
        ".gitignore",
        ".github/workflows/claims.yml",
        "tests/claims/test_claims.py",
        "tests/claims/paper/document.yaml",
    }


@pytest.mark.parametrize(
    ("name", "text", "told"), [("pyproject.toml", "[tool", "pyproject.toml: "), ("", "", "is a file")]
)
def test_a_folder_that_cannot_be_one_is_one_line(muse, tmp_path, name, text, told):
    """A broken configuration, or a file; nothing is written."""
    place = tmp_path / "here"
    if name:
        place.mkdir()
        (place / name).write_text(text)
    else:
        place.write_text("")
    before = files(tmp_path)
    code, _, errors = muse("init", str(place))
    assert (code, len(errors)) == (2, 1)
    assert told in errors[0]
    assert files(tmp_path) == before


def test_the_example_is_a_ledger_without_a_fault(muse, tmp_path, monkeypatch):
    """With one claim of each kind."""
    muse("init", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    PRESETS["tiny"] = "model"
    claims = load_ledger(tmp_path / "tests/claims", PROBES).claims
    assert [str(claim.recorded) for claim in claims] == ["confirmed", "refuted"]
