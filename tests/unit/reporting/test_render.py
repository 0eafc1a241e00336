"""The skins: escaping, staleness, determinism, and files that are whole or absent."""

# ruff: noqa: RUF001  the signs are what is tested
import json
import re
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.errors import MuseError
from muse.reporting import escape, render, view
from muse.reporting.words import SHIPPED, Words, languages, load

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
        found(stated("d/slope", section="Overview", **order), 1.04, low=0.97, high=1.12),
        found(stated("d/hard", says=HARD, cause=HARD, recorded=Status.REFUTED), 9.0),
        found(stated("e/count", unit="count", documented=Decimal(216384)), 216384, scope=Scope.EXACT),
        found(stated("e/unknown", unit="percent", documented=Decimal("84.8"))),
    ]


def page(records, templates, name="report.html", **options):
    """One file of the English report of `records`."""
    return render.render(built(*records, **options), templates)[name]


def data(text):
    """What the page shows once its rows are opened."""
    return json.loads(re.search(r'<script type="application/json" id="details">(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.parametrize("name", ["report.html", "phase8.md"])
def test_stale_is_written_out(stated, found, templates, name):
    """Each says the word where the source has changed since, and only there."""
    texts = [page([found(stated(), 5.8)], templates, name, stale=lambda _, old=old: old) for old in (False, True)]
    fresh, stale = (len(re.findall(r'confirmed \(stale\)|class="badge stale', text)) for text in texts)
    assert (fresh, stale > 0) == (0, True)


@pytest.mark.parametrize("name", ["md/document.md", "md/README.md", "html/report.html"])
@pytest.mark.parametrize("wrong", ["view.tottal", 't("tottal")'])
def test_an_unknown_name_in_a_template_fails(records, templates, tmp_path, name, wrong):
    """A misspelt field or message stops the report with one line."""
    place = tmp_path / name
    place.parent.mkdir()
    place.write_text((SHIPPED / name).read_text() + f"{{{{ {wrong} }}}}")
    with pytest.raises(MuseError, match=r"^[^\n]*tottal[^\n]*$"):
        render.render(built(*records), (tmp_path, *templates))


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


def test_an_unknown_character_fails_with_its_name():
    """TeX never drops a character in silence."""
    with pytest.raises(MuseError, match=r"^no TeX form for '脳' \(U\+8133 [^\n]*\) in 'a 脳'$"):
        escape.tex("a 脳")


def test_html_escapes_markup(stated, found, templates):
    """Text from a document cannot become an element, in a row or in its details."""
    hard = "</script><script>alert(1)</script><!-- & 'x'"
    text = page([found(stated(says=hard, quote=hard, cause=hard), 9.0)], templates)
    assert "<script>alert" not in text
    assert text.count("</script>") == 3
    assert data(text)["rows"]["phase8/peak"][0] == hard


def test_markdown_escapes_what_breaks_a_table(stated, found, templates):
    """A pipe in a sentence stays in its cell, and so does one in an id."""
    text = page([found(stated("d/a[x|y]", says="a | b\n<i> *c*"), 5.8)], templates, "d.md")
    line, *_ = [line for line in text.splitlines() if "a \\| b" in line]
    assert len(re.split(r"(?<!\\)\|", line)) == 8
    assert r"a \| b &lt;i&gt; \*c\*" in line


def test_a_prediction_stands_beside_its_measurement(records, templates):
    """The Markdown table shows the weaker evidence below, with its verdict where that differs."""
    assert "| 5.811 GiB<br>predicted: 5.900 GiB (refuted) |" in page(records, templates, "d.md")


def test_the_order_of_files_changes_no_byte(records, found, templates):
    """Records read from files in another order, and read twice, give the same report."""
    late = found(records[1].claim, 5.82, run="later", time="2025-12-24T00:00:00+00:00")
    one = render.render(built(*records, late), templates)
    assert render.render(built(late, *records, *records), templates) == one


def test_a_record_from_a_file_renders_alike(records, templates):
    """Reading a record back from its line loses nothing that a report shows."""
    again = [type(record).from_json(record.to_json()) for record in records]
    assert render.render(built(*again), templates) == render.render(built(*records), templates)


@pytest.fixture
def both(records):
    """The same records in English and in Japanese."""
    japanese = Words("ja", SHIPPED / "messages/ja.yaml", load("ja").messages, _Anything())
    return [view.build(records, lambda _: False, {}, words, languages=languages()) for words in (load(), japanese)]


def test_both_languages_have_the_same_files(both, templates):
    """A page, an overview, a file per document, and the paper's."""
    english, japanese = (set(render.render(one, templates)) for one in both)
    assert english == japanese
    assert {name for name in english if "/" not in name} == {"README.md", "report.html", "d.md", "e.md"}


def test_both_languages_have_the_same_rows_and_numbers(both, templates):
    """Only the words differ."""
    english, japanese = (render.render(one, templates) for one in both)
    for name in ("d.md", "e.md", "report.html"):
        anchors, numbers = r'id="([^"]+)"', r"\b\d+\.\d+\b"
        assert re.findall(anchors, english[name]) == re.findall(anchors, japanese[name])
        assert sorted(re.findall(numbers, english[name])) == sorted(re.findall(numbers, japanese[name]))


def test_the_japanese_report_is_in_japanese(both, templates):
    """Its language is told, and its column heads and verdicts are not English."""
    text = render.render(both[1], templates)["report.html"]
    assert '<html lang="ja">' in text
    assert "反証" in text
    assert not re.search("Verdict|refuted<|Documented|Copy link", text)


def test_each_language_links_to_the_other(both, templates):
    """From the page, the overview and each document."""
    files = render.render(both[0], templates)
    for name in ("README.md", "report.html", "d.md"):
        assert f"../ja/{name}" in files[name]


@pytest.mark.parametrize("name", ["README.md", "report.html"])
def test_a_report_of_nothing_renders(templates, name):
    """Without records there is a report that says zero."""
    assert "0 claims" in page([], templates, name)


def test_the_page_needs_no_network(records, templates):
    """The page names no address outside itself."""
    assert not re.search(r"https?:|src=|@import|url\(", page(records, templates))


def test_the_page_never_makes_markup_of_data():
    """Its script sets text alone."""
    assert not re.search(
        "innerHTML|outerHTML|insertAdjacentHTML|document.write", (SHIPPED / "html/report.js").read_text()
    )


def test_every_claim_has_one_anchor_and_every_link_a_target(records, templates):
    """Each claim can be linked to, in its row or in the details, and no link within the page is dead."""
    text = page(records, templates)
    parsed = _Page()
    parsed.feed(text)
    claims = [cell[0] for _, _, cells in data(text)["rows"].values() for cell in cells]
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert sorted(claims) == sorted(record.claim.id.replace("[", ":").rstrip("]") for record in records)
    assert set(data(text)["rows"]) <= set(parsed.ids)
    assert set(parsed.links) <= set(parsed.ids)


def test_the_page_is_well_formed(records, templates):
    """Every element that is opened is closed, in order."""
    parsed = _Page()
    parsed.feed(page(records, templates))
    assert (parsed.open, parsed.wrong) == ([], [])


def test_the_details_tell_everything_about_a_claim(records, templates):
    """Bound, margin, verdict, method, place, time and record, each under its label."""
    found = data(page(records, templates))
    [cell] = [cell for cell in found["rows"]["d/peak:Max"][2] if cell[1] == "d/peak[Max]"]
    texts, facts = found["texts"], cell[7]
    told = {
        texts[label]: texts[value]
        for label, value in zip(facts[::2], facts[1::2], strict=True)
        if isinstance(value, int)
    }
    assert (texts[cell[2]], cell[5]) == ("documented procedure · measured", "5.811 GiB")
    assert told["Bound"] == "equals 5.80 GiB, that is 5.742 to 5.858"
    assert (told["Samples"], told["PyTorch"], told["Date"]) == ("2", "2.13.0+cu128", "2025-11-30 10:15 UTC")
    assert found["command"].format(id=cell[1]) == "muse verify 'd/peak[Max]'"


def test_a_picture_is_in_the_page_and_linked_from_its_document(records, templates):
    """The page needs no file beside it; GitHub shows the file."""
    drawn = view.Picture("d-peak", "Peaks | all", '<?xml version="1.0"?><svg><path/></svg>')
    files = render.render(view.build(records, lambda _: False, {}, pictures=[drawn]), templates)
    assert '<figure id="figure-d-peak"><svg><path/></svg><figcaption>Peaks | all</figcaption>' in files["report.html"]
    assert r"![Peaks \| all](../figures/d-peak.svg)" in files["d.md"]
    assert "d-peak" not in files["e.md"]


def test_reports_load_without_torch():
    """A laptop without torch can render every report."""
    code = "import sys, muse.reporting.view, muse.reporting.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class _Anything(dict):
    """Every sentence, translated to itself."""

    def __contains__(self, sentence):
        return True

    def get(self, sentence, _=None):
        return sentence


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


@pytest.mark.parametrize(
    ("name", "link"), [("README.md", "](d.md#d/peak)"), ("d.md", "](#d/peak)"), ("report.html", 'href="#d/peak"')]
)
def test_a_report_opens_with_its_findings(stated, found, templates, name, link):
    """Each with its figures, and a link to the claim that it rests on."""
    told = {"d": ["It needs {peak:MiB}, not 6 GB."]}
    built_ = view.build([found(stated("d/peak"), 5.0)], lambda _: False, {}, findings=told)
    text = render.render(built_, templates)[name]
    assert "It needs 5,120 MiB, not 6 GB." in text
    assert link in text
    assert text.index("It needs") < text.index('<table class="summary">' if name == "report.html" else "\n|")


def test_a_report_without_findings_has_no_heading_for_them(records, templates):
    """Nobody reads an empty list."""
    assert "What was found" not in page(records, templates) + page(records, templates, "README.md")
