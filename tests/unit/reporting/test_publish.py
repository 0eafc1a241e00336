"""All files of the reports, and what is on the disk after writing them."""

import pytest

from muse.claims.claim import Document, Figure
from muse.errors import MuseError, UsageError
from muse.reporting import publish
from muse.reporting.words import languages


@pytest.fixture
def published(stated, found, templates, tmp_path):
    """Every file of a report of two records; a test may put templates of its own before the project's."""
    records = [found(stated("d/peak"), 5.81), found(stated("e/peak"))]
    drawn = Figure("d-peak", "dots", ("d/peak",), "Peak memory of inference")
    documents = {name: Document(name, name, "", "", figures=figures) for name, figures in (("d", (drawn,)), ("e", ()))}

    def files(wanted=("en",), more=()):
        searched = (tmp_path / "templates", *templates)
        return publish.files([*records, *more], lambda _: False, documents, wanted, searched)

    return files


def test_every_language_asked_for_has_a_folder(published):
    """And no other has."""
    assert {name.split("/")[0] for name in published()} == {"en", "figures"}


def test_the_pages_link_to_languages_that_were_not_asked_for(published):
    """They are in the folders beside it."""
    assert all(f"../{lang}/README.md" in published()["en/README.md"].decode() for lang in languages() if lang != "en")


def test_an_unknown_language_is_refused(published):
    """Also where there are pictures, which have no caption in it."""
    assert {"figures/d-peak.svg", "figures/d-peak.pdf"} <= set(published())
    with pytest.raises(UsageError, match="unknown language 'fr', expected one of en, ja"):
        published(("fr",))


def test_nothing_is_made_when_one_page_fails(published, tmp_path):
    """A template that breaks gives one line, and no file."""
    place = tmp_path / "templates/md/document.md"
    place.parent.mkdir(parents=True)
    place.write_text("{{ view.tottal }}")
    with pytest.raises(MuseError, match=r"document\.md: .*tottal"):
        published()


def test_what_is_written_is_what_was_made(tmp_path):
    """Folders are made on the way, and no unfinished file stays."""
    paths = publish.write({"en/a.md": b"a", "en/paper/b.tex": b"b"}, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == dict(
        zip(paths, [b"a", b"b"], strict=True)
    )


def test_a_file_of_an_earlier_report_is_left_over(tmp_path):
    """Only in folders of this report, and only what a report writes: not what TeX made."""
    publish.write({"en/old.md": b"", "en/paper/article.pdf": b"", "templates/md/x.md": b"", "ja/old.md": b""}, tmp_path)
    assert publish.left_over({"en/new.md": b""}, tmp_path) == [tmp_path / "en/old.md"]
