"""Numbers are bound by their place: what is altered, added, moved or left out is seen, at its line."""

import re

import pytest

from muse.coverage.numbers import numbers

PEAKS = "- 5.81 GB: peak[a]\n    - 4.86 GB: peak[b]\n"


def uncovered(coverage):
    """Return the uncovered numbers with their lines."""
    return [(place.line, place.number.printed) for place in coverage.uncovered]


def test_a_paper_whose_numbers_are_all_listed_is_complete(covered):
    """Bound, declared wherever they stand, or declared at their place."""
    coverage = covered()
    assert coverage.complete
    assert [(p.number.printed, p.claim and p.claim.id, p.reason) for p in coverage.places] == [
        ("2025", None, "date"),
        ("11", None, "date"),
        ("29", None, "date"),
        ("5.81 GB", "paper/peak[a]", None),
        ("4.86 GB", "paper/peak[b]", None),
        ("5.81 GB", "paper/peak[a]", None),
        ("4.86 GB", None, "said twice"),
    ]


def test_one_altered_digit_anywhere_is_seen_at_its_line(covered, paper):
    """Whichever digit of whichever number, and nothing else is uncovered."""
    text, _ = paper
    for number in numbers(text):
        for at in range(number.start, number.end):
            if text[at].isdigit():
                altered = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
                found = covered(altered)
                assert not found.complete
                assert {line for line, _ in uncovered(found)} == {text.count("\n", 0, at) + 1}


def test_two_numbers_in_each_other_s_place_are_uncovered(covered, paper):
    """Both are numbers of the section, but not there."""
    text, _ = paper
    swapped = text.replace("5.81", "x").replace("4.86", "5.81").replace("x", "4.86")
    assert uncovered(covered(swapped)) == [(9, "4.86 GB"), (10, "5.81 GB"), (14, "4.86 GB"), (14, "5.81 GB")]


def test_an_added_number_is_uncovered_and_the_others_stay_bound(covered, paper):
    """A new row in the table."""
    text, _ = paper
    added = text.replace("| B ", "| C     | 7.77 GB |\n| B ")
    assert uncovered(covered(added)) == [(10, "7.77 GB")]


def test_a_binding_whose_number_is_gone_is_unused(covered, paper):
    """Told with its line in numbers.yaml."""
    text, _ = paper
    found = covered(text.replace("| B     | 4.86 GB |\n", ""))
    assert (uncovered(found), found.unused) == ([], ((7, "4.86 GB is not in the section 'Results'"),))
    assert not found.complete


def test_the_same_number_in_two_sections_is_two_bindings(covered, paper):
    """A binding in one section says nothing about the other."""
    _, listed = paper
    found = covered(numbers=listed[: listed.index('  "Details"')])
    assert uncovered(found) == [(14, "5.81 GB"), (14, "4.86 GB")]


def test_a_section_that_the_document_lacks_is_unused(covered, paper):
    """All its bindings are."""
    _, listed = paper
    found = covered(numbers=listed + '  "Appendix":\n    - 5.81 GB: peak[a]\n')
    assert found.unused == ((12, "5.81 GB is not in the section 'Appendix'"),)


def test_a_declared_text_that_stands_nowhere_is_unused(covered, paper):
    """It would cover whatever comes there one day."""
    _, listed = paper
    found = covered(numbers=listed.replace('["2025-11-29"]', '["2025-11-29", "Phase 9"]'))
    assert found.unused == ((3, "declared 'Phase 9' is not in the document"),)


def test_a_declared_text_covers_a_number_only_where_it_stands_as_a_whole(covered):
    """Neither another number with the same beginning nor the same number elsewhere."""
    declared = 'source: paper.md\ndeclared: {name: ["Phase 7"]}\n'
    assert uncovered(covered("Phase 7\nPhase 72\nPhase 7.5\n7\nPhase\n7\n", declared)) == [
        (2, "72"),
        (3, "7.5"),
        (4, "7"),
        (6, "7"),
    ]


def test_a_heading_with_an_altered_digit_still_finds_its_section(covered):
    """Only the altered number is uncovered."""
    listed = f'source: paper.md\nsections:\n  "Model A (5.81 GB)":\n    - 5.81 GB: peak[a]\n    {PEAKS}'
    text = "# Model A (5.81 GB)\n5.81 GB\n4.86 GB\n"
    assert covered(text, listed).complete
    assert uncovered(covered(text.replace("(5.81", "(5.71"), listed)) == [(1, "5.71 GB")]


def test_the_second_of_two_equal_headings_has_its_own_section(covered):
    """`#2` after its text."""
    listed = f'source: paper.md\nsections:\n  A:\n    {PEAKS}  "A #2":\n    - 4.86 GB: peak[b]\n'
    assert covered("# A\n5.81 GB 4.86 GB\n# A\n4.86 GB\n", listed).complete


def test_numbers_before_the_first_heading_have_a_section_without_a_name(covered):
    """Its heading is empty."""
    listed = f'source: paper.md\nsections:\n  "":\n    {PEAKS}'
    assert covered("5.81 GB, 4.86 GB\n# A\n", listed).complete


def test_a_number_with_another_suffix_is_another_number(covered, paper):
    """MB for GB is uncovered as an altered digit is."""
    text, _ = paper
    assert uncovered(covered(re.sub("4.86 GB \\|", "4.86 MB |", text))) == [(10, "4.86 MB")]


@pytest.mark.parametrize("name", ["Phase 8", "Table~2", "Section 4.1", "§3", "Fig. 2"])
def test_a_number_behind_a_label_is_a_name(covered, paper, name):
    """It counts nothing; a quantity after such a word is none."""
    text, _ = paper
    found = covered(text.replace("Two phases", f"As {name} says, two"))
    assert found.complete
    assert found.places[0].reason == "label"
    assert uncovered(covered(text.replace("Two phases", f"As {name} GB says, two"))) != []


def test_names_that_are_declared_one_by_one_are_no_others(covered, paper):
    """A document that names its phases has no ninth."""
    text, listed = paper
    listed = listed.replace("declared:\n", 'declared:\n  name: ["Phase 8"]\n')
    assert covered(text.replace("Two phases", "Phase 8"), listed).complete
    assert uncovered(covered(text.replace("Two phases", "Phase 8 and Phase 9"), listed)) == [(3, "9")]
