"""Figures in sentences: which record they come from, how they are printed, and that every skin fills them in."""

# ruff: noqa: RUF001  Japanese has its own brackets
import json
import re
from decimal import Decimal

import pytest

from muse.claims.claim import Expect, Scope, Status, cited
from muse.reporting import paper, render, view
from muse.reporting.quotes import Quotes
from muse.reporting.summary import summary
from muse.reporting.words import SHIPPED, Words, load

NOBODY = "(not measured yet)"


@pytest.fixture
def twins(stated):
    """A claim that a GPU measures and the one that predicts the same."""
    return (
        stated("d/peak[a]", probe="memory", quantity="peak"),
        stated("d/peak_predicted[a]", probe="predicted_memory", quantity="peak"),
    )


def quoted(*records, address="d/peak[a]", unit=None, stale=lambda _: False, claims=()):
    """The figure of a claim in English."""
    return Quotes(records, stale, claims).figure(address, load(), unit)


def test_a_measured_figure_has_the_digits_of_the_documented_number(stated, found):
    """5.80 has two decimals, and so has what was measured."""
    assert quoted(found(stated("d/peak[a]"), 5.8149)) == "5.81 GiB"


def test_our_own_figure_has_the_digits_that_its_claim_expects(stated, found):
    """A corrected figure states its number in the bound."""
    claim = stated("d/peak[a]", documented=None, expect=Expect(equals=Decimal("3.467")))
    assert quoted(found(claim, 3.46712)) == "3.467 GiB"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (127.06, "MiB", "127 MiB"),
        (1.2345, "GiB", "1.23 GiB"),
        (4061.8, "million", "4,062 million"),
        (216384, "count", "216,384"),
        (-14.26, "percent", "−14.3 %"),
        (0, "percent", "0 %"),
        (0.33651, "times", "0.337 ×"),
    ],
)
def test_without_a_number_a_figure_has_three_significant_digits(stated, found, value, unit, text):
    """Whole counts keep all of theirs, and no digit before the point is dropped."""
    claim = stated("d/peak[a]", documented=None, unit=unit, expect=Expect(at_least=-100))
    assert quoted(found(claim, value)) == text


def test_a_figure_that_would_round_to_zero_keeps_three_significant_digits(stated, found):
    """0.00 would say that nothing was measured."""
    assert quoted(found(stated("d/peak[a]"), 0.00123)) == "0.00123 GiB"


def test_a_figure_can_be_asked_for_in_another_unit(stated, found):
    """The documented number's digits are then not its own."""
    assert quoted(found(stated("d/peak[a]"), 5.8149), unit="MiB") == "5,954 MiB"


def test_a_prediction_alone_is_called_one(twins, found):
    """Whether the claim named is the predicted or the measured one."""
    measured, predicted = twins
    records = found(measured), found(predicted, 5.9, scope=Scope.PREDICTED)
    texts = {quoted(*records, address=claim.id) for claim in twins}
    assert texts == {"5.90 GiB (predicted)"}


def test_a_measurement_stands_before_a_prediction_of_the_same(twins, found):
    """Even where the prediction is newer and is the claim that is named."""
    measured, predicted = twins
    newer = found(predicted, 5.9, scope=Scope.PREDICTED, time="2026-01-01T00:00:00+00:00")
    assert quoted(found(measured, 5.81), newer, address=predicted.id) == "5.81 GiB"


def test_another_question_lends_no_figure(twins, found, stated):
    """A prediction of another workload is not evidence."""
    other = stated("d/peak_other[a]", probe="predicted_memory", quantity="peak", given={"tokens": 1})
    assert quoted(found(twins[0]), found(other, 5.9, scope=Scope.PREDICTED)) == NOBODY


def test_exact_evidence_stands_before_a_prediction(stated, found):
    """A count is no guess."""
    claim = stated("d/peak[a]")
    later = found(claim, 9, scope=Scope.PREDICTED, time="2026-01-01T00:00:00+00:00")
    assert quoted(found(claim, 5.8, scope=Scope.EXACT), later) == "5.80 GiB"


def test_the_newest_that_is_not_stale_is_quoted(stated, found):
    """A later record of code that is gone does not count against it."""
    claim = stated("d/peak[a]")
    old, new = found(claim, 5.8), found(claim, 5.9, time="2026-01-01T00:00:00+00:00", fingerprint="gone")
    assert quoted(old, new, stale=lambda record: record.fingerprint == "gone") == "5.80 GiB"
    assert quoted(old, new, stale=lambda _: True) == "5.90 GiB"


@pytest.mark.parametrize("address", ["d/peak[a]", "d/unknown"])
def test_what_has_no_record_is_not_measured_yet(stated, found, address):
    """Neither a claim that could not be measured nor one without any record has a figure."""
    assert quoted(found(stated("d/peak[a]")), address=address) == NOBODY


@pytest.fixture
def told(stated, found):
    """A refuted claim whose cause names a measured, a predicted and an unmeasured one, in another unit and document."""
    cause = "It is {one}, not {e/two[x]:MiB}; {three} is open."
    return [
        found(stated("d/peak", cause=cause, recorded=Status.REFUTED), 9.0),
        found(stated("d/one"), 5.8),
        found(stated("e/two[x]"), 2.0, scope=Scope.PREDICTED),
        found(stated("d/three")),
    ]


FILLED = "It is 5.80 GiB, not 2,048 MiB (predicted); (not measured yet) is open."


@pytest.mark.parametrize("name", ["d.md", "report.html", "paper"])
def test_every_skin_fills_in_the_figures_of_a_cause(told, templates, name):
    """Markdown, HTML and TeX print the figures, and no brace."""
    built = view.build(told, lambda _: False, {})
    pages = render.render(built, templates) | {"paper": paper.pages(built, templates)["article.tex"]}
    assert FILLED in pages[name]
    assert "{one}" not in pages[name]


def test_a_page_fills_in_the_figures_of_its_details(told, templates):
    """The cause of a claim is told there once more."""
    text = render.render(view.build(told, lambda _: False, {}), templates)["report.html"]
    found = json.loads(re.search(r'<script type="application/json" id="details">(.*?)</script>', text, re.DOTALL)[1])
    assert FILLED in found["texts"]


def test_a_translated_cause_has_its_own_places_for_the_figures(told):
    """The sentence is found by its English text with the braces, and filled after."""
    says = {"The forward pass peaks at 5.80 GB.": "最大。", "Memory": "メモリ"}
    translated = {told[0].claim.cause: "{three}。{e/two[x]:MiB} ではなく {one}。"}
    words = Words("ja", SHIPPED / "messages/ja.yaml", load("ja").messages, says | translated)
    [row] = [
        row
        for document in view.build(told, lambda _: False, {}, words).documents
        for section in document.sections
        for row in section.rows
        if row.id == "d/peak"
    ]
    assert row.cells[0].cause == "（未測定）。2,048 MiB（予測） ではなく 5.80 GiB。"


def test_the_summary_fills_in_the_figures_of_a_cause(told):
    """It is read where no report is at hand."""
    assert "It is 5.80 GiB, not 2,048 MiB" in summary(told, lambda _: False, None, [])


def test_every_translation_names_the_same_claims_as_its_sentence(templates):
    """A translation that drops a figure would tell less."""
    wrong = [
        english
        for english, other in load("ja", templates).sentences.items()
        if "{" in english + other and set(cited(english)) != set(cited(other))
    ]
    assert wrong == []
