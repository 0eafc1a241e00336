"""A document as numbers with their lines and headings, and what is wrong with a document."""

import pytest

from muse.coverage import document
from muse.errors import UsageError


def places(read):
    """Return each number with its line and its heading."""
    return [(n.printed, read.line(n), read.section(n)) for n in read.numbers]


def test_a_number_stands_under_its_innermost_heading(text):
    """A heading's own numbers are the first of its section."""
    read = text("1\n# A\n2\n## B 3\n4\n")
    assert places(read) == [("1", 1, ""), ("2", 3, "A"), ("3", 4, "B 3"), ("4", 5, "B 3")]


def test_headings_that_repeat_are_told_apart(text):
    """By their occurrence."""
    assert [section for _, _, section in places(text("# A\n1\n# A ##\n2\n# A\n3\n"))] == ["A", "A #2", "A #3"]


def test_a_comment_in_code_is_no_heading(text):
    """The numbers of a code block stand under the heading around it."""
    read = text("# A\n```python\n# 1\n~~~\n# 2\n```\n# B\n3\n")
    assert places(read) == [("1", 3, "A"), ("2", 5, "A"), ("3", 8, "B")]


def test_tex_has_sections_and_comments(text):
    """A comment's numbers are not printed; an escaped percent sign begins none."""
    read = text("\\section{A 1}\n93\\% % 5\n\\subsection*{B}\n6 \\\\% 7\n8\n", "paper.tex")
    assert places(read) == [("1", 1, "A 1"), ("93\\%", 2, "A 1"), ("6", 4, "B"), ("8", 5, "B")]


def test_a_tex_table_within_markdown_is_no_broken_table(text):
    """Its cells are not Markdown's."""
    table = "```latex\n| a | b |\n|---|---|\n\\multicolumn{6}{l}{x} \\\\\n1 & 2 |\n```\n"
    assert [n.printed for n in text(table).numbers] == ["6", "1", "2"]


def test_windows_line_ends_and_a_byte_order_mark_are_not_seen(tmp_path):
    """The lines and headings are the same."""
    file = tmp_path / "paper.md"
    file.write_bytes(b"\xef\xbb\xbf# A\r\n1\r\n")
    assert places(document.read(file)) == [("1", 2, "A")]


TABLE = "| a | b |\n|:--|--:|\n| 1 | 2 |\n"


@pytest.mark.parametrize(
    "rows", ["", "| `x \\| y` | 3 |\n", "4 | 5\n", "\n| 6 |\n", "no row\n| 7 |\n", "```\n```\n| 8 |\n"]
)
def test_a_whole_table_is_no_fault(text, rows):
    """An escaped pipe is no border, outer pipes are optional, and the table ends at a line without any."""
    text(TABLE + rows)


@pytest.mark.parametrize(
    ("table", "line", "cells"),
    [(TABLE + "| 3 |\n", 4, 1), (TABLE + "| 3 | 4 | 5 |\n", 4, 3), ("| a | b |\n|---|\n", 2, 1)],
)
def test_a_broken_table_is_told_with_its_line(text, tmp_path, table, line, cells):
    """What was found, and what its header has."""
    with pytest.raises(UsageError) as caught:
        text("\n" + table)
    told = f"paper.md:{line + 1}: broken table: {cells} cells in this row, its header has 2"
    assert str(caught.value) == f"{tmp_path}/{told}"


def test_a_file_that_is_not_utf8_is_told_with_the_byte(tmp_path):
    """The reason and the place."""
    file = tmp_path / "paper.md"
    file.write_bytes(b"5.74 GB \xff")
    with pytest.raises(UsageError, match=r"paper\.md: not UTF-8: invalid start byte at byte 8; save it as UTF-8"):
        document.read(file)


def test_a_missing_file_is_told(tmp_path):
    """By its path."""
    with pytest.raises(UsageError, match=r"paper\.md: no such file"):
        document.read(tmp_path / "paper.md")
