"""The formula by which a document counted what it never built, part by part."""

from fractions import Fraction

import pytest

from muse.models import phase8_push
from muse.probes.given import OfFormula

D, L, V, N = 3072, 40, 50257, 512


@pytest.fixture
def formula(ask):
    """One quantity of the counted configuration."""
    return lambda quantity="count", **given: ask("closed_formula", quantity, model="phase8_push", **given).value


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("embedding", (V + N) * D),
        ("attention", 4 * D * D * L),
        ("ffn", 8 * D * D * L),
        ("norms", 4 * D * L),
        ("head", D * V),
    ],
)
def test_every_part_is_the_document_s_term(formula, part, count):
    """Of the network before compression."""
    assert formula(part=part) == count


def test_the_total_is_the_sum_of_the_parts(formula):
    """Nothing else is counted."""
    parts = ("embedding", "attention", "ffn", "norms", "head")
    for compressed in (False, True):
        assert formula(compressed=compressed) == sum(formula(part=part, compressed=compressed) for part in parts)


@pytest.mark.parametrize(("part", "kept"), [("embedding", Fraction(1, 4)), ("ffn", Fraction(1, 8)), ("attention", 1)])
def test_compression_keeps_its_share(formula, part, kept):
    """What is saved is the rest."""
    assert formula("kept", part=part) == kept
    assert formula("saved", part=part) == 1 - kept


def test_a_share_is_of_all_parts_in_the_same_state(formula):
    """Before or after compression."""
    for compressed in (False, True):
        state = {"compressed": compressed}
        assert formula("share", part="head", **state) == Fraction(D * V, formula(**state))


def test_a_changed_term_is_seen(formula, monkeypatch):
    """One layer more in the formula is one more in the count."""
    before = formula(part="ffn")
    real = phase8_push.documented_counts

    def longer(shape, n_seq, *, compressed):
        counts = real(shape, n_seq, compressed=compressed)
        return counts | {"ffn": counts["ffn"] * (L + 1) // L}

    monkeypatch.setattr(phase8_push, "documented_counts", longer)
    assert formula(part="ffn") - before == 8 * D * D


def test_a_part_that_the_formula_does_not_have_is_malformed():
    """The ledger refuses it."""
    with pytest.raises(ValueError, match="Input should be"):
        OfFormula(model="phase8_push", part="biases")
