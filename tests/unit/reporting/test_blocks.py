"""Parts of the project's texts that are rendered from records, and those of the project itself."""

import pytest

from muse.errors import MuseError, UsageError
from muse.reporting import blocks
from muse.reporting.quotes import Quotes
from muse.reporting.words import load, searched
from muse.store.files import read_all
from muse.verify import stale

TEXT = "# A title\n\n<!-- muse: findings -->\nold\n<!-- /muse -->\n\nThe end"


@pytest.fixture
def render(stated, found, templates, tmp_path):
    """Renders blocks, whose findings name one measured claim."""
    (tmp_path / "reports/templates/blocks").mkdir(parents=True)
    (tmp_path / "reports/templates/blocks/findings.md").write_text('- It is {{ figure("d/peak") }}.\n')
    records = [found(stated("d/peak"), 5.81)]
    quotes = Quotes(records, lambda _: False)
    return blocks.renderer(records, quotes, load(), (tmp_path / "reports/templates", *templates))


@pytest.fixture
def renewed(render, tmp_path):
    """Writes a text and renews the blocks of all there are."""

    def renew(text=TEXT, name="README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
        return blocks.renewed(tmp_path, tmp_path / "reports", render)

    return renew


def test_what_is_between_the_markers_is_rendered_from_records(renewed):
    """And nothing else of the text changes."""
    [one] = renewed()
    assert one.content.decode() == TEXT.replace("old", "- It is 5.81 GiB.")


def test_a_text_that_says_what_the_records_give_is_left_alone(renewed):
    """The second time there is nothing to do."""
    assert renewed(renewed()[0].content.decode()) == []


def test_a_stale_block_is_told_with_file_and_line(renewed, tmp_path):
    """In one line, for a test to fail with."""
    [one] = renewed()
    assert blocks.told(one) == [f"{tmp_path}/README.md:3: the block 'findings' is not what the records give"]


def test_line_ends_stay_as_they_are(renewed):
    """A file with carriage returns keeps them, in its blocks too."""
    [one] = renewed(TEXT.replace("\n", "\r\n"))
    assert one.content.count(b"\n") == one.content.count(b"\r\n") == TEXT.count("\n")


@pytest.mark.parametrize("name", [".hidden/README.md", "reports/README.md", "notes.txt"])
def test_hidden_generated_and_other_files_are_not_read(renewed, name):
    """Only the project's own Markdown has blocks."""
    assert renewed(name=name) == []


@pytest.mark.parametrize("text", ["```\n" + TEXT + "\n```\n", "Write `<!-- muse: findings -->` in a line.\n"])
def test_markers_in_code_are_code(renewed, text):
    """A text may explain them."""
    assert renewed(text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT.replace("findings", "fidnings"), "3: unknown block 'fidnings', expected one of findings"),
        (TEXT.replace("<!-- /muse -->", ""), "3: the block 'findings' is not closed by <!-- /muse -->"),
        (TEXT.replace("old", "<!-- muse: findings -->"), "4: the block 'findings' of line 3 is not closed before this"),
        (TEXT.replace("old", "<!-- /muse -->"), "5: <!-- /muse --> closes no block"),
    ],
)
def test_a_wrong_marker_is_one_line_with_file_and_line(renewed, tmp_path, text, told):
    """And nothing is rendered."""
    with pytest.raises(UsageError) as caught:
        renewed(text)
    assert str(caught.value).startswith(f"{tmp_path}/README.md:{told}")


def test_a_template_that_names_an_unknown_claim_is_one_line(render, tmp_path):
    """With the template's name."""
    (tmp_path / "reports/templates/blocks/findings.md").write_text('{{ figure("d/paek") }}')
    with pytest.raises(MuseError, match=r"^template blocks/findings\.md: no claim 'd/paek'$"):
        render("findings")


def test_muse_report_renews_a_block_and_then_leaves_the_file(muse, project_with_a_readme):
    """The second time it names no text of the project and changes no byte."""
    readme = project_with_a_readme
    first = muse("report", "--lang", "en")
    written = readme.read_bytes()
    second = muse("report", "--lang", "en")
    assert (first[0], second[0]) == (0, 0)
    assert b"old" not in written
    assert str(readme) in first[1]
    assert str(readme) not in second[1]
    assert readme.read_bytes() == written


def test_a_block_of_timings_has_a_line_for_each_pass_that_was_timed(timed, templates):
    """Ours, its multiple of the floor, and those of the others; other operators have tables of their own."""
    records = [timed("scan", 0.002, against="reference"), timed("scan", 0.002, against="peer"), timed("other", 1.0)]
    render = blocks.renderer(records, Quotes(records, lambda _: False), load(), templates)
    assert render("timings scan").splitlines()[2:] == [
        "| 2x3 | float32 | forward | 2.00 ms | 2.00 | reference 3.00, peer 3.00 |"
    ]
    assert "not measured yet" in render("timings")
    with pytest.raises(MuseError, match="no claim is about an operator 'scna'"):
        render("timings scna")


@pytest.fixture
def project_with_a_readme(tmp_path, muse, monkeypatch, settings):
    """An empty project of its own with a text whose block is old; `muse` runs in it."""
    root = tmp_path / "project"
    (root / "claims/paper").mkdir(parents=True)
    (root / "claims/paper/document.yaml").write_text("title: A\npublished: now\nhardware: none\n")
    (root / "pyproject.toml").write_text('[tool.muse]\nclaims = "claims"\nreports = "reports"\n')
    (root / "reports/templates/blocks").mkdir(parents=True)
    (root / "reports/templates/blocks/findings.md").write_text("- Nothing yet.\n")
    (root / "README.md").write_text(TEXT)
    monkeypatch.chdir(root)
    return root / "README.md"


@pytest.fixture(scope="module")
def real(settings, real_ledger):
    """Renders blocks from the project's own records."""
    records = read_all(settings.path("results"))
    quotes = Quotes(records, lambda r: stale(r, real_ledger), real_ledger.claims)
    return blocks.renderer(records, quotes, load(), searched(settings.path("reports")))


def test_the_project_s_own_texts_say_what_its_records_give(settings, real):
    """`muse report` renders them again."""
    found = blocks.renewed(settings.root, settings.path("reports"), real)
    assert [line for one in found for line in blocks.told(one)] == []


def test_every_template_of_a_block_names_claims_that_there_are(settings, real):
    """Also those of blocks that no text has yet."""
    names = [file.stem for folder in searched(settings.path("reports")) for file in (folder / "blocks").glob("*.md")]
    assert all(real(name) for name in names)
