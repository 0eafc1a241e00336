"""The three skins: escaping, staleness, determinism, and files that are whole or absent."""

# ruff: noqa: RUF001  the signs are what is tested
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.errors import MuseError, UsageError
from muse.reporting import escape, render, view

SKINS = ("md", "tex", "html")
HARD = r"_ % & # $ ^ ~ \ { } < > | -- N² 2× ≤ − — Θ é α 10⁻³"


def built(*records, stale=lambda _: False):
    """The view of `records`."""
    return view.build(records, stale, {})


@pytest.fixture
def records(stated, found):
    """A small report with every kind of row."""
    sound = {"protocol": "sound", "documented": None, "cause": "It was 3 × 2 GiB."}
    order = {"unit": "order", "protocol": "sound", "documented": Decimal(1), "expect": Expect(at_most=Decimal("1.1"))}
    return [
        found(
            stated("d/peak[Max]", quote="ピークメモリ 5.80 GB"),
            5.811,
            method={"samples": (1, 2), "how": {"b": 1, "a": 2}},
        ),
        found(stated("d/peak[Deep]"), 5.811),
        found(stated("d/fits[Max]", beside="d/peak", expect=Expect(at_most=Decimal(5)), **sound), 6.2),
        found(stated("d/cast[Max]", beside="d/peak"), 5.9, scope=Scope.PREDICTED),
        found(stated("d/slope", section="概要", **order), 1.04, low=0.97, high=1.12),
        found(stated("d/hard", says=HARD, cause=HARD, recorded=Status.REFUTED), 9.0),
        found(stated("e/count", unit="count", documented=Decimal(216384)), 216384, scope=Scope.EXACT),
        found(stated("e/unknown", unit="percent", documented=Decimal("84.8"))),
    ]


@pytest.mark.parametrize("skin", SKINS)
def test_stale_is_written_out(stated, found, templates, skin):
    """Each skin says the word where the source has changed since, and only there."""
    texts = [
        render.render(built(found(stated(), 5.8), stale=lambda _, old=old: old), skin, templates)
        for old in (False, True)
    ]
    fresh, stale = (len(re.findall(r"\(stale\)|badge stale", text)) for text in texts)
    assert (fresh, stale > 0) == (0, True)


@pytest.mark.parametrize("skin", SKINS)
def test_an_unknown_name_in_a_template_fails(records, templates, tmp_path, skin):
    """A misspelt name stops the report with one line."""
    shutil.copytree(templates, tmp_path / "t")
    place = tmp_path / "t" / skin / f"report.{skin}"
    place.write_text(place.read_text() + (r"\VAR{view.tottal}" if skin == "tex" else "{{ view.tottal }}"))
    with pytest.raises(MuseError, match=r"^[^\n]*tottal[^\n]*$"):
        render.render(built(*records), skin, tmp_path / "t")


def test_an_unknown_skin_is_a_usage_error(records, templates):
    """The error lists the skins there are."""
    with pytest.raises(UsageError, match="md, tex, html"):
        render.render(built(*records), "pdf", templates)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b", r"a\_b"),
        ("5 %", r"5 \%"),
        ("a & b", r"a \& b"),
        ("#1", r"\#1"),
        ("$", r"\$"),
        ("^", r"\textasciicircum{}"),
        ("~", r"\textasciitilde{}"),
        ("\\", r"\textbackslash{}"),
        ("{x}", r"\{x\}"),
        ("--flag", "-{}-flag"),
        ("N²", r"N\textsuperscript{2}"),
        ("−1 × Θ ≤ α", r"$-$1 $\times$ $\Theta$ $\le$ $\alpha$"),
        ("é", r"\'{e}"),
    ],
)
def test_tex_is_escaped(text, escaped):
    """Every character that means something to TeX, or that its fonts lack, is replaced."""
    assert escape.tex(text) == escaped


def test_tex_escapes_without_being_asked(stated, found, templates):
    """A sentence reaches the page escaped, though no template names a filter."""
    assert r"50 \% \& more" in render.render(built(found(stated(says="50 % & more"), 5.8)), "tex", templates)


def test_an_unknown_character_fails_with_its_name(stated, found, templates):
    """TeX never drops a character in silence."""
    with pytest.raises(MuseError, match=r"^no TeX form for '脳' \(U\+8133 [^\n]*\) in 'a 脳'$"):
        render.render(built(found(stated(says="a 脳"), 5.8)), "tex", templates)


def test_a_heading_in_another_script_is_numbered_in_tex(records, templates):
    """A Japanese heading does not stop the TeX report; it is given by its number."""
    assert r"\subsection*{Part 2}" in render.render(built(*records), "tex", templates)


def test_html_escapes_markup(stated, found, templates):
    """Text from a document cannot become a script."""
    page = render.render(built(found(stated(says="<script>alert(1)</script>"), 5.8)), "html", templates)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_markdown_escapes_what_breaks_a_table(stated, found, templates):
    """A pipe in a sentence stays in its cell, and so does one in an id."""
    page = render.render(built(found(stated("d/a[x|y]", says="a | b\n<i> *c*"), 5.8)), "md", templates)
    (line,) = [line for line in page.splitlines() if "<sub>" in line]
    assert len(re.split(r"(?<!\\)\|", line)) == 10
    assert r"a \| b &lt;i&gt; \*c\*" in line


def test_a_prediction_stands_beside_its_measurement(records, templates):
    """The Markdown table shows the weaker evidence compactly, with its verdict where that differs."""
    assert "| 5.811 (predicted 5.900, refuted) |" in render.render(built(*records), "md", templates)


@pytest.mark.parametrize("skin", SKINS)
def test_the_order_of_files_changes_no_byte(records, found, templates, skin):
    """Records read from files in another order, and read twice, give the same report."""
    late = found(records[1].claim, 5.82, run="later", time="2025-12-24T00:00:00+00:00")
    one = render.render(built(*records, late), skin, templates)
    assert render.render(built(late, *records, *records), skin, templates) == one


def test_a_record_from_a_file_renders_alike(records, templates):
    """Reading a record back from its line loses nothing that a report shows."""
    again = [type(record).from_json(record.to_json()) for record in records]
    assert render.render(built(*again), "html", templates) == render.render(built(*records), "html", templates)


def test_nothing_is_written_when_one_skin_fails(stated, found, templates, tmp_path):
    """A sentence that TeX cannot write leaves no Markdown and no HTML behind."""
    with pytest.raises(MuseError):
        render.write(built(found(stated(says="脳"), 5.8)), templates, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_three_reports_are_written(records, templates, tmp_path):
    """Writing leaves the three reports, and nothing else."""
    paths = render.write(built(*records), templates, tmp_path / "new")
    assert [path.name for path in paths] == ["report.md", "report.tex", "report.html"]
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)


@pytest.mark.parametrize("skin", SKINS)
def test_a_report_of_nothing_renders(templates, skin):
    """Without records there is a report that says zero."""
    assert "0 claims" in render.render(built(), skin, templates)


def test_the_page_needs_no_network(records, templates):
    """The page names no address outside itself."""
    assert not re.search(r"https?:|src=|@import|url\(", render.render(built(*records), "html", templates))


def test_every_claim_has_one_anchor_and_every_link_a_target(records, templates):
    """Each claim can be linked to, and no link within the page is dead."""
    page = _Page()
    page.feed(render.render(built(*records), "html", templates))
    assert len(set(page.ids)) == len(page.ids)
    assert {record.claim.id.replace("[", ":").rstrip("]") for record in records} <= set(page.ids)
    assert set(page.links) <= set(page.ids)


def test_the_page_is_well_formed(records, templates):
    """Every element that is opened is closed, in order."""
    page = _Page()
    page.feed(render.render(built(*records), "html", templates))
    assert (page.open, page.wrong) == ([], [])


def test_the_page_tells_how_to_repeat_a_measurement(records, templates):
    """The details of a row name the command."""
    assert "muse verify &#39;d/peak[Max]&#39;" in render.render(built(*records), "html", templates)


def test_reports_load_without_torch():
    """A laptop without torch can render every report."""
    code = "import sys, muse.reporting.view, muse.reporting.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_tex_compiles(records, templates, tmp_path):
    """LaTeX accepts the report, hard characters included."""
    assert "Output written on report.pdf" in _compiled(render.render(built(*records), "tex", templates), tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_every_character_of_the_tex_table_compiles(stated, found, templates, tmp_path):
    """No entry of the escape table names a command that LaTeX lacks."""
    says = " ".join(escape._TABLE) + " àáâãäāăåçč í ő"
    text = render.render(built(found(stated(says=says), 5.8)), "tex", templates)
    assert "Output written on report.pdf" in _compiled(text, tmp_path)


def _compiled(text, folder):
    """What pdflatex says about `text`."""
    (folder / "report.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "report.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.stdout.decode(errors="replace")


class _Page(HTMLParser):
    """Collects ids, links within the page, and elements that do not close in order."""

    EMPTY = ("meta", "link", "col", "input", "br")

    def __init__(self) -> None:
        super().__init__()
        self.ids, self.links, self.open, self.wrong = [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.append(found["id"])
        if found.get("href", "").startswith("#"):
            self.links.append(found["href"][1:])
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)
