"""`muse coverage`: what it prints and writes, and what it exits with."""

import json
import re

import pytest


@pytest.fixture
def altered(project):
    """Makes one edit to the paper."""

    def edit(old, new):
        paper = (project / "paper.md").read_text()
        assert old in paper
        (project / "paper.md").write_text(paper.replace(old, new, 1))

    return edit


def test_a_covered_document_exits_with_0_and_lists_every_number(muse, project):
    """By section, with line, claim and verdict, then the counts."""
    code, out, _ = muse("coverage", str(project / "paper.md"))
    assert code == 0
    assert "\nResults\n     9  5.81 GB     peak[a]: confirmed (recorded)\n" in out
    assert "    10  4.86 GB     peak[b]: refuted (recorded)\n" in out
    assert "        declared, said twice: 4.86 GB\n" in out
    assert "declared     4  date 3, said twice 1\n" in out


def test_an_altered_digit_exits_with_1_and_names_its_line(muse, project, altered):
    """And quotes it; the binding that lost its number is told too."""
    altered("5.81", "5.31")
    code, out, _ = muse("coverage", str(project / "paper.md"))
    assert code == 1
    assert f'{project}/paper.md:9: 5.31 GB uncovered ("| A     | 5.31 GB |")\n' in out
    assert f"{project}/claims/paper/numbers.yaml:6: unused: 5.81 GB is not in the section 'Results'\n" in out


def test_the_verdict_is_that_of_the_committed_evidence(muse, project):
    """Where there is a record, it outweighs what is recorded in the claim."""
    results = project / "claims/paper/results.yaml"
    results.write_text(
        results.read_text().replace('recorded: refuted, cause: "It is a whole more."', "recorded: confirmed")
    )
    muse("verify")
    muse("promote", "latest")
    _, out, _ = muse("coverage", str(project / "paper.md"))
    assert "peak[b]: refuted\n" in out


def test_a_claim_beside_that_was_decided_otherwise_is_named(muse, project):
    """A reproduced figure does not hide that its sentence is refuted."""
    with (project / "claims/paper/results.yaml").open("a") as file:
        file.write(
            "  peak_sound:\n    beside: peak\n    says: It peaks.\n    unit: GiB\n    probe: arithmetic\n"
            "    quantity: result\n    protocol: sound\n    given: {operation: sum, operands: [1.0]}\n"
            "    expect: {above: 2}\n    recorded: refuted\n    cause: It is so.\n    cases: {a: {}}\n"
        )
    _, out, _ = muse("coverage", str(project / "paper.md"))
    assert "peak[a]: confirmed (recorded; peak_sound is refuted)\n" in out


def test_a_copy_under_another_name_is_covered_as_the_document_it_is(muse, project):
    """Named with --as."""
    (project / "paper.md").rename(project / "copy.md")
    assert muse("coverage", str(project / "copy.md"))[0] == 2
    assert muse("coverage", str(project / "copy.md"), "--as", "paper")[0] == 0


def test_one_uncovered_document_of_several_is_enough_for_exit_code_1(muse, project, altered):
    """All are listed."""
    (project / "copy").mkdir()
    (project / "copy/paper.md").write_text((project / "paper.md").read_text())
    altered("5.81", "5.31")
    code, out, _ = muse("coverage", str(project / "paper.md"), str(project / "copy/paper.md"))
    assert (code, out.count(" as paper\n")) == (1, 2)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("| A     |", "| A | B |", "paper.md:9: broken table: 3 cells in this row, its header has 2"),
        ("# A paper", "# \udcff", "paper.md: not UTF-8: invalid start byte at byte 2; save it as UTF-8"),
    ],
)
def test_a_document_that_cannot_be_read_is_one_line_and_exit_code_2(muse, project, old, new, told):
    """And nothing is listed."""
    paper = (project / "paper.md").read_text().replace(old, new)
    (project / "paper.md").write_bytes(paper.encode(errors="surrogateescape"))
    code, out, errors = muse("coverage", str(project / "paper.md"))
    assert (code, out, errors) == (2, "", [f"muse: {project}/{told}"])


def test_a_wrong_binding_is_a_fault_of_the_ledger(muse, project):
    """Exit code 4, with file and line."""
    numbers = project / "claims/paper/numbers.yaml"
    numbers.write_text(numbers.read_text().replace("5.81 GB: peak[a]", "5.81 GB: peak[b]", 1))
    code, _, [error] = muse("coverage", str(project / "paper.md"))
    assert code == 4
    assert error.startswith(f"{numbers}:6: 5.81 GB is no number of paper/peak[b], which documents 4.86 GiB")


def test_json_has_every_number_and_what_it_is(muse, project, altered):
    """For programs."""
    altered("5.81", "5.31")
    _, out, _ = muse("coverage", str(project / "paper.md"), "--json")
    [facts] = json.loads(out)
    assert (facts["document"], facts["complete"]) == ("paper", False)
    assert [n["is"] for n in facts["numbers"]] == ["declared"] * 3 + ["uncovered", "refuted", "confirmed", "declared"]
    assert facts["unused"] == [{"line": 6, "says": "5.81 GB is not in the section 'Results'"}]
    assert facts["numbers"][4] == {
        "line": 10,
        "section": "Results",
        "printed": "4.86 GB",
        "is": "refuted",
        "claim": "paper/peak[b]",
        "recorded": True,
        "scope": None,
        "prediction": None,
        "reason": None,
    }


@pytest.fixture
def page(muse, project):
    """Writes the page and returns it."""

    def write():
        (project / "out").mkdir()
        muse("coverage", str(project / "paper.md"), "--html", str(project / "out/coverage.html"))
        return (project / "out/coverage.html").read_text()

    return write


def test_the_page_shows_every_number_by_its_verdict(page, altered):
    """Each with its claim or its reason; an uncovered one stands out."""
    altered("5.81", "5.31")
    found = page()
    assert '<mark class="uncovered" title="no claim is bound to it">5.31 GB</mark>' in found
    assert '<mark class="refuted" title="paper/peak[b]: refuted (recorded)">4.86 GB</mark>' in found
    assert '<mark class="declared" title="date">2025</mark>' in found


def test_the_page_holds_the_whole_text_escaped(page, project, altered):
    """Without its marks it is the document, and nothing in the document is taken for HTML."""
    altered("Two phases", "Two <b>phases</b> & more")
    text = re.search('<pre class="text">\n(.*)</pre>', page(), re.DOTALL)[1]
    assert "Two &lt;b&gt;phases&lt;/b&gt; &amp; more" in text
    plain = re.sub("</?mark[^>]*>", "", text)
    assert plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == (project / "paper.md").read_text()


def test_the_page_works_from_a_file_alone(page, project):
    """It loads nothing, knows light and dark, and leaves nothing half-written."""
    found = page()
    assert not re.search(r'(src|href)="(?!data:)', found)
    assert "prefers-color-scheme: dark" in found
    assert [path.name for path in (project / "out").iterdir()] == ["coverage.html"]


def test_sentences_without_a_translation_are_listed(muse, project):
    """For each language that the project translates to; nothing fails for them."""
    messages = project / "reports/templates/messages"
    messages.mkdir(parents=True)
    (messages / "ja_sentences.yaml").write_text('sentences:\n  "It peaks.": "最大になる。"\n')
    code, out, _ = muse("coverage", str(project / "paper.md"))
    _, told = out.split("\nja: ")
    assert code == 0
    assert "sentences have no translation" in told
    assert "  It peaks.\n" not in told
