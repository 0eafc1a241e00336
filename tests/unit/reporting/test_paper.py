"""The paper side: fragments that stand alone, macros by address, and an article that compiles."""

# ruff: noqa: RUF001  the signs are what is tested
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.errors import MuseError
from muse.reporting import paper, view
from muse.reporting.words import Words, load, searched

HARD = r"_ % & # $ ^ ~ \ { } < > | -- N² 2× ≤ − — Θ é α 10⁻³ [x]"

latex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")


class Untranslated(Words):
    """Japanese messages, with every sentence of the ledger in one of Japanese."""

    def say(self, sentence):
        """A sentence that holds what TeX must escape."""
        return "文 100 % の 主張_名、「×」" if sentence.isascii() else sentence


def words(lang):
    """The messages of one language."""
    told = load(lang, searched(Path(__file__).parents[3] / "reports"))
    return told if lang == "en" else Untranslated(**{name: getattr(told, name) for name in told.__dataclass_fields__})


def made(records, templates, lang="en"):
    """The texts of the paper's folder."""
    return paper.pages(view.build(records, lambda _: False, {}, words(lang)), templates)


@pytest.fixture
def records(stated, found):
    """A short section, a long one, and every kind of number."""
    sound = {"protocol": "sound", "documented": None}
    order = {"unit": "order", "protocol": "sound", "documented": Decimal(1), "expect": Expect(at_most=Decimal("1.1"))}
    count = {"unit": "count", "documented": Decimal(216384), "section": "Counts"}
    return [
        found(stated("d/peak[maximum-phase8]"), 5.811),
        found(stated("d/fits[maximum-phase8]", beside="d/peak", expect=Expect(at_most=Decimal(5)), **sound), 6.2),
        found(stated("d/slope", **order), 1.04, low=0.97, high=1.12),
        found(stated("d/tiny", says=HARD, cause=HARD, recorded=Status.REFUTED), 1e-7),
        found(stated("d/change", unit="percent", documented=Decimal("-14.3")), -14.2),
        found(stated("d/unknown", unit="percent", documented=Decimal("84.8"), section="100 % & more_words")),
        *(found(stated(f"d/count[{n}]", **count), 216384, scope=Scope.EXACT) for n in range(30)),
        found(stated("e/total", unit="billion", documented=Decimal("3.08"), original="概要"), 3.0818),
        found(stated("e/many", unit="count", documented=Decimal(3081831424)), 3081831424, scope=Scope.EXACT),
    ]


def compiled(folder, body, *, main="main", lines=()):
    """The output of pdflatex over `body`, and whether it made a page."""
    if body is not None:
        (folder / f"{main}.tex").write_text("\n".join((r"\documentclass{article}", *lines, body)))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", f"{main}.tex"]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    return ran.returncode, ran.stdout


def laid(folder, texts):
    """The texts as files."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@latex
@pytest.mark.parametrize(("lang", "name"), [("en", "d-1"), ("en", "d-3"), ("ja", "d-1")])
def test_a_fragment_needs_only_the_packages_that_it_names(records, templates, tmp_path, lang, name):
    """A short table, a long one and a Japanese one compile alone with what their comment lists."""
    fragment = made(records, templates, lang)[f"tables/{name}.tex"]
    needs = re.findall(r"^% needs (\\usepackage\{[^}]*\})", fragment, re.MULTILINE)
    start, end = (r"\begin{CJK}{UTF8}{min}", r"\end{CJK}") if lang == "ja" else ("", "")
    body = f"\\begin{{document}}\n{start}\n{fragment}\n{end}\n\\end{{document}}"
    code, log = compiled(tmp_path, body, lines=needs)
    assert code == 0, log[-1500:]


@latex
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_article_compiles(records, templates, tmp_path, lang):
    """Title, tables and evidence make a PDF, and no character is missing."""
    laid(tmp_path, made(records, templates, lang))
    code, log = compiled(tmp_path, None, main="article")
    assert code == 0, log[-1500:]
    assert "Missing character" not in (tmp_path / "article.log").read_text(errors="replace")


def quoting(folder, texts, body):
    """The output of pdflatex over prose that quotes claims."""
    laid(folder, texts)
    lines = (r"\usepackage{siunitx}", r"\input{claims}", r"\begin{document}")
    return compiled(folder, body + r"\end{document}", lines=lines)


@latex
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext")
def test_prose_quotes_a_claim_by_its_address(records, templates, tmp_path):
    """The sound number where there is one, with unit and dagger; the documented one; the verdict; a dash."""
    body = r"""\section{On \claim{d/peak[maximum-phase8]}}
    (\claim{d/peak[maximum-phase8]}) (\claimdocumented{d/peak[maximum-phase8]}) (\claimverdict{d/fits[maximum-phase8]})
    (\claim{e/total}) (\claim{d/unknown}) (\claimdocumented{d/unknown})"""
    code, log = quoting(tmp_path, made(records, templates), body)
    assert code == 0, log[-1500:]
    text = subprocess.run(
        ["pdftotext", "main.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    shown = [" ".join(one.split()) for one in re.findall(r"\(([^)]*)\)", text)]
    assert shown == ["6.200 GiB†", "5.80 GiB", "refuted", "3.082 billion", "—", "84.8 %"]


@latex
def test_an_unknown_address_stops_with_its_name(records, templates, tmp_path):
    """A misspelt address is an error of LaTeX that names it."""
    code, log = quoting(tmp_path, made(records, templates), r"\claim{d/peek[maximum_phase8]}")
    assert code != 0
    assert "No claim has the address `d/peek[maximum_phase8]'" in log


def test_text_is_escaped_without_being_asked(records, templates):
    """What means something to TeX is replaced, in headings and in sentences."""
    texts = made(records, templates)
    assert r"\subsection{100 \% \& more\_words}" in texts["article.tex"]
    assert r"\_ \% \& \# \$ \textasciicircum{} \textasciitilde{} \textbackslash{}" in texts["tables/d-1.tex"]


def test_japanese_in_an_english_paper_is_refused(stated, found, templates):
    """A character without a form in TeX is an error that names it."""
    with pytest.raises(MuseError, match=r"^templates/tex/table.tex: no TeX form for '脳' [^\n]*$"):
        made([found(stated(says="a 脳"), 5.8)], templates)


def test_an_address_that_tex_cannot_take_is_refused(stated, found, templates):
    """A claim's name that would end the macro's argument is an error before anything is written."""
    with pytest.raises(MuseError, match=r"^d/a%b: '%' in an address cannot be an argument in TeX$"):
        made([found(stated("d/a%b"), 5.8)], templates)


def test_a_paper_is_the_same_bytes_again(records, templates):
    """Nothing of the hour or of the machine that renders enters."""
    assert made(records, templates) == made(records, templates)


def test_every_fragment_says_that_it_is_generated(records, templates):
    """The first line of each file warns its editor."""
    assert {text.splitlines()[0] for text in made(records, templates).values()} == {
        "% generated from records; do not edit"
    }


def test_a_long_section_breaks_over_pages(records, templates):
    """A table of 30 rows is a longtable, a short one a tabular that a float can hold."""
    texts = made(records, templates)
    kinds = {name: "longtable" in texts[f"tables/{name}.tex"] for name in ("d-1", "d-3")}
    assert kinds == {"d-1": False, "d-3": True}


def shaped(templates, folder, text):
    """Templates with a table shaped by hand."""
    (folder / "tex/max_parameters").mkdir(parents=True)
    (folder / "tex/max_parameters/max_model_size.tex").write_text(text)
    return folder, *templates


def test_a_shaped_table_takes_numbers_by_address(stated, found, templates, tmp_path):
    """Documented and measured stand side by side, without the unit where the table names it once."""
    place = shaped(
        templates,
        tmp_path,
        r"\BLOCK{set c = claim('max_parameters/peak[baseline]')}"
        "\n"
        r"\VAR{c.documented_number} & \VAR{c.measured_number} & \VAR{c.measured} & \VAR{c.verdict}",
    )
    text = made([found(stated("max_parameters/peak[baseline]"), 7.0)], place)["tables/max_model_size.tex"]
    mark = r"\textsuperscript{$\dagger$}"
    assert text == rf"\num{{5.80}} & \num{{7.000}}{mark} & \qty{{7.000}}{{\gibi\byte}}{mark} & refuted"


def test_a_prediction_that_a_paper_quotes_says_that_it_is_none_of_a_gpu(stated, found, templates, tmp_path):
    """By a double dagger, beside the dagger where it is not confirmed."""
    place = shaped(templates, tmp_path, r"\VAR{claim('max_parameters/peak').measured_number}")
    told = []
    for value in (5.8, 7.0):
        record = found(stated("max_parameters/peak"), value, scope=Scope.PREDICTED)
        told.append(made([record], place)["tables/max_model_size.tex"])
    assert told == [
        rf"\num{{{n}}}\textsuperscript{{${mark}$}}"
        for n, mark in (("5.800", r"\ddagger"), ("7.000", r"\dagger\ddagger"))
    ]


def test_a_shaped_table_without_its_claim_is_one_error(stated, found, templates, tmp_path):
    """The address that no record has is named, with the template."""
    place = shaped(templates, tmp_path, r"\VAR{claim('max_parameters/pique').measured}")
    with pytest.raises(
        MuseError, match=r"^templates/tex/max_parameters/max_model_size.tex: no claim 'max_parameters/pique' [^\n]*$"
    ):
        made([found(stated("max_parameters/peak"), 7.0)], place)


@pytest.fixture
def sizes(stated, found):
    """Every claim that the table of maximum sizes takes a number from."""
    units = {
        "parameters": "billion",
        "width": "count",
        "layers": "count",
        "peak": "GiB",
        "capacity": "million",
        "capacity_predicted": "million",
    }
    return [
        found(stated(f"max_parameters/{mode}_{what}[{model}]", unit=unit, documented=Decimal(6)), 6)
        for what, unit in {**units, "reduction": "percent"}.items()
        for mode, models in (
            ("inference", ("baseline", "phase1", "phase2")),
            ("training", ("baseline", "phase1", "phase2")),
        )
        for model in models
        if (what, model) != ("reduction", "baseline")
    ]


@latex
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_table_of_maximum_sizes_compiles_in_the_article(sizes, templates, tmp_path, lang):
    """The shipped hand-shaped table stands in its document's section."""
    laid(tmp_path, made(sizes, templates, lang))
    code, log = compiled(tmp_path, None, main="article")
    assert code == 0, log[-1500:]
    assert "tables/max_model_size.tex" in log


def test_writing_a_paper_needs_no_tex(records, templates, monkeypatch):
    """Only sources are written; no program is run."""
    monkeypatch.setenv("PATH", "")
    assert set(made(records, templates)) >= {"article.tex", "claims.tex", "tables/d-1.tex", "tables/e-1.tex"}
