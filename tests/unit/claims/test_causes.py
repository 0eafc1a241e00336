"""A cause may name claims in braces; a name that leads nowhere is a fault of the ledger."""

import pytest

from muse.claims.claim import Cited, Data, Signature, cited, filled
from muse.claims.ledger import load_ledger
from muse.errors import LedgerError


class Anything(Data):
    """What the probe may be given."""


PROBES = {"memory": Signature("probes.memory", {"peak": "bytes"}, Anything)}
CLAIMS = """\
section: Memory
claims:
  peak:
    says: It peaks.
    unit: GiB
    probe: memory
    quantity: peak
    protocol: sound
    recorded: refuted
    cause: "{cause}"
    cases:
      a: {{documented: 5.80}}
      b: {{documented: 5.90}}
"""


@pytest.fixture
def load(tmp_path):
    """Loads one document whose claims have this cause."""

    def load(cause):
        (tmp_path / "paper").mkdir()
        (tmp_path / "paper/document.yaml").write_text("title: A\npublished: now\nhardware: none\n")
        (tmp_path / "paper/memory.yaml").write_text(CLAIMS.format(cause=cause))
        return load_ledger(tmp_path, PROBES)

    return load


def test_a_text_names_claims_in_braces():
    """With a case, a document and a unit where it needs them."""
    assert list(cited("{peak} or {a.b/peak[x-1.5]:GiB}")) == [Cited("peak", None), Cited("a.b/peak[x-1.5]", "GiB")]


@pytest.mark.parametrize(("name", "id_"), [("peak[a]", "paper/peak[a]"), ("other/peak", "other/peak")])
def test_a_name_without_a_document_is_of_the_same(name, id_):
    """As in numbers.yaml."""
    assert Cited(name, None).address("paper") == id_


def test_each_name_is_replaced_by_its_figure():
    """And the text around stays."""
    assert filled("At {a}, not {b:GiB}.", lambda one: f"<{one.claim} {one.unit}>") == "At <a None>, not <b GiB>."


def test_a_cause_may_name_any_claim_of_any_document(load):
    """In any unit of its dimension."""
    assert len(load("At {peak[a]:MiB} or {paper/peak[b]}.").claims) == 2


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("At {peak[c]}.", "unknown claim 'peak[c]'"),
        ("At {peak}.", "unknown claim 'peak'"),
        ("At {other/peak[a]}.", "unknown claim 'other/peak[a]'"),
        ("At {peak[a]:percent}.", "wrong unit 'percent' of peak[a], which is in GiB"),
        ("At {peak[a]:gigs}.", "unknown unit 'gigs' of peak[a], expected one of "),
        ("At {peak[a] now.", "stray '{peak[a]', expected {claim}, "),
        ("At peak[a]}.", "stray '}.', expected {claim}, "),
        ("At {}.", "stray '{}.', expected {claim}, "),
        ("At {{peak[a]}}.", "stray '{}.', expected {claim}, "),
    ],
)
def test_a_wrong_name_is_one_fault_with_file_and_the_line_of_the_cause(load, tmp_path, cause, told):
    """However many cases share the cause."""
    with pytest.raises(LedgerError) as caught:
        load(cause)
    [fault] = caught.value.faults
    assert fault.startswith(f"{tmp_path}/paper/memory.yaml:10: paper/peak: cause: {told}")
