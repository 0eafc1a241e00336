"""numbers.yaml is right, or every fault of it is told with its line."""

import pytest

from muse.coverage import bindings
from muse.errors import LedgerError, UsageError

GOOD = """\
source: paper.md
declared:
  date: ["2025-11-29"]
sections:
  "Results":
    - 5.81 GB: peak[a]
    - 4.86 GB: paper/peak[b]
    - 4096: "declared: a preset"
"""


def test_a_number_is_bound_by_an_address_with_or_without_its_document(listed):
    """The document is that of the folder."""
    first, second, _ = listed(GOOD).sections["Results"]
    assert (first.claim.id, second.claim.id) == ("paper/peak[a]", "paper/peak[b]")


def test_a_number_may_be_declared_at_its_place(listed):
    """With a reason."""
    *_, third = listed(GOOD).sections["Results"]
    assert (third.claim, third.reason, third.line) == (None, "a preset", 8)


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("peak[a]", "peak[c]", 6, "5.81 GB: unknown claim 'peak[c]'"),
        ("5.81 GB", "5.82 GB", 6, "5.82 GB is no number of paper/peak[a], which documents 5.81 GiB"),
        ("peak[a]", "peak[b]", 6, "5.81 GB is no number of paper/peak[b], which documents 4.86 GiB"),
        ("5.81 GB", "peak", 6, "'peak' is not one number as printed"),
        ("5.81 GB", "5.81 GB at most", 6, "'5.81 GB at most' is not one number as printed"),
        ("declared: a preset", "declared:", 8, "4096: declared without a reason"),
        ("2025-11-29", "a date", 3, "declared: 'a date' has no number"),
        ("2025-11-29", "5.81 GB", 3, "declared: '5.81 GB' is a bare number"),
        ("source: paper.md", "sourse: paper.md", 1, "unknown key 'sourse'"),
        ("- 5.81 GB: peak[a]", "- 5.81 GB: 3", 6, "sections.Results.0.5.81 GB: "),
        ('"Results":', '"Results": [', 6, "bad YAML: "),
    ],
)
def test_a_fault_names_its_line(listed, old, new, line, told):
    """One edit to a good file gives a fault there."""
    assert GOOD.count(old) == 1
    with pytest.raises(LedgerError) as caught:
        listed(GOOD.replace(old, new))
    assert any(f"/claims/paper/numbers.yaml:{line}: {told}" in fault for fault in caught.value.faults)


def test_all_faults_are_told_at_once(listed):
    """In the order of their lines."""
    with pytest.raises(LedgerError) as caught:
        listed(GOOD.replace("peak[a]", "nobody").replace("2025-11-29", "a date").replace("4096", "x"))
    assert [fault.split(":")[1] for fault in caught.value.faults] == ["3", "6", "8"]


@pytest.fixture
def folder(tmp_path):
    """Claims of three documents, two of which come from files of the same name."""
    for name, source in (("paper", "paper.md"), ("one", "README.md"), ("two", "README.md")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "numbers.yaml").write_text(f"source: {source}\n")
    return tmp_path


def test_a_document_is_known_by_its_file_name(folder):
    """That of `source`."""
    assert bindings.find(folder, "paper.md") == folder / "paper/numbers.yaml"


def test_a_document_may_be_named(folder):
    """Then its file may be called anything."""
    assert bindings.find(folder, "copy.md", "two") == folder / "two/numbers.yaml"


@pytest.mark.parametrize(
    ("source", "name", "told"),
    [
        ("copy.md", None, r"copy\.md: unknown document; known are README\.md \(one\), .*name one with --as"),
        ("paper.md", "papers", r"unknown document 'papers'; known are one, paper, two"),
        ("README.md", None, r"README\.md may be one, two; name one with --as"),
    ],
)
def test_an_unknown_document_is_told_with_those_that_are_known(folder, source, name, told):
    """So is a file name that two documents share."""
    with pytest.raises(UsageError, match=told):
        bindings.find(folder, source, name)
