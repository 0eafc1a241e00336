"""Provenance says where a record comes from; a fingerprint says whether its subject has changed."""

import json
import subprocess
import sys

import pytest

from muse.config import Settings
from muse.store import provenance as unit
from muse.store.provenance import provenance, source_fingerprint

TREE = {
    "muse.probes.memory": '"""Words."""\nfrom muse.models import phase8\n\nx = 1\n',
    "muse.models": "",
    "muse.models.phase8": "import kernels.attention\nfrom muse.nn.hyperbolic import exp0\n",
    "muse.models.phase7": "y = 1\n",
    "muse.nn.hyperbolic": "def exp0():\n    # a comment\n    return 0\n",
    "kernels.attention": "def attention():\n    from kernels.scan import scan\n    return scan\n",
    "kernels.scan": "from kernels.attention import attention\nscan = 1\n",
}


@pytest.fixture
def fingerprint(tmp_path, monkeypatch):
    """Fingerprints the memory probe in a tree of our own, with some modules changed."""
    trees = iter(range(99))

    def of(changed: dict[str, str] | None = None) -> str:
        folder = tmp_path / str(next(trees))
        folder.mkdir()
        for module, text in {**TREE, **(changed or {})}.items():
            (folder / f"{module}.py").write_text(text)

        def path(module: str, own=frozenset()):
            file = folder / f"{module}.py"
            return file if file.exists() else None

        monkeypatch.setattr(unit, "_path", path)
        return source_fingerprint(("muse.probes.memory",))

    return of


def test_the_same_source_has_the_same_fingerprint(fingerprint):
    """A copy elsewhere is the same subject: no path and no time enters."""
    assert fingerprint() == fingerprint()


@pytest.mark.parametrize("module", sorted(set(TREE) - {"muse.models.phase7"}))
def test_a_change_in_anything_imported_changes_the_fingerprint(fingerprint, module):
    """Imports are followed to their end, inside functions and around cycles too."""
    assert fingerprint({module: TREE[module] + "z = 1\n"}) != fingerprint()


def test_a_change_in_an_unrelated_module_does_not(fingerprint):
    """Evidence is not made stale by a model that it did not use."""
    assert fingerprint({"muse.models.phase7": "y = 2\n"}) == fingerprint()


def test_a_removed_line_changes_the_fingerprint(fingerprint):
    """Deleting code is a change."""
    assert fingerprint({"kernels.scan": "scan = 1\n"}) != fingerprint()


@pytest.mark.parametrize(
    "text",
    [
        "def exp0():\n    return 0\n",
        "def exp0():\n\n    # another comment\n    return 0\n\n\n",
        "# a head\ndef exp0():\n    return 0  \n",
    ],
)
def test_comments_and_blank_lines_do_not_count(fingerprint, text):
    """Evidence outlives a better comment."""
    assert fingerprint({"muse.nn.hyperbolic": text}) == fingerprint()


def test_indentation_counts(fingerprint):
    """Moving a line out of its block changes what runs."""
    assert fingerprint({"kernels.attention": "def f():\n    a = 1\n    b = 2\n"}) != fingerprint(
        {"kernels.attention": "def f():\n    a = 1\nb = 2\n"}
    )


@pytest.mark.parametrize("module", ["muse.claims.claim", "muse.store.files", "muse.verify", "json"])
def test_a_module_that_measures_nothing_has_no_part(module):
    """Code that cannot move a measurement leaves evidence fresh."""
    assert source_fingerprint((module,)) == source_fingerprint(())


@pytest.mark.parametrize("module", ["muse.models.phase8", "muse.nn.hyperbolic", "muse.memory.peak", "kernels"])
def test_a_module_that_measures_has_a_part(module):
    """Probes, memory, models, their parts and the kernels are what is measured and what measures."""
    assert source_fingerprint((module,)) != source_fingerprint(())


def test_a_model_rests_on_its_kernels(monkeypatch):
    """The real Phase 8 has another fingerprint without its attention kernel."""
    before, path = source_fingerprint(("muse.models.phase8",)), unit._path
    monkeypatch.setattr(
        unit, "_path", lambda m, own=(): None if m == "kernels.linear_attention.reference" else path(m, own)
    )
    assert source_fingerprint(("muse.models.phase8",)) != before


def test_fingerprints_are_taken_without_torch():
    """A laptop can say whether evidence is stale."""
    program = (
        "import sys; from muse.store.provenance import source_fingerprint as f; "
        "print(f(('muse.models.phase8',)), 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == [source_fingerprint(("muse.models.phase8",)), "False"]


def test_no_other_environment_variable_is_recorded(tmp_path, monkeypatch):
    """A secret in the environment never reaches a record."""
    monkeypatch.setenv("MY_TOKEN", "hush-0123456789")
    monkeypatch.setenv("MUSE_SECRET", "hush-0123456789")
    assert "hush" not in json.dumps(provenance(Settings(tmp_path)))


@pytest.mark.parametrize("name", unit.ENVIRONMENT)
def test_a_variable_that_can_move_a_measurement_is_recorded(tmp_path, monkeypatch, name):
    """Each name of the allow-list is kept with its value."""
    monkeypatch.setenv(name, "0")
    assert provenance(Settings(tmp_path))["environment"][name] == "0"


def test_provenance_is_plain_data(tmp_path):
    """It can be written as JSON as it stands."""
    found = provenance(Settings(tmp_path))
    assert json.loads(json.dumps(found)) == found


def test_a_folder_without_git_takes_the_commit_it_is_told(tmp_path):
    """In a container the commit is a setting, and whether the tree is dirty is unknown."""
    found = provenance(Settings(tmp_path, commit="abc"))
    assert (found["commit"], found["dirty"]) == ("abc", None)


def test_a_folder_without_git_and_setting_has_no_commit(tmp_path):
    """Nothing is made up."""
    assert provenance(Settings(tmp_path))["commit"] is None


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "file").write_text("1")
    for command in (
        ["init", "--quiet"],
        ["add", "file"],
        ["-c", "user.name=n", "-c", "user.email=e@e", "commit", "--quiet", "--message", "m"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


def test_a_clean_tree_is_recorded_with_its_commit(repository):
    """The commit is the whole name that git gives it."""
    head = subprocess.run(["git", "-C", repository, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    found = provenance(Settings(repository))
    assert (found["commit"], found["dirty"]) == (head.stdout.strip(), False)


def test_a_changed_tree_is_recorded_as_dirty(repository):
    """Evidence of uncommitted code says so."""
    (repository / "file").write_text("2")
    assert provenance(Settings(repository))["dirty"] is True
