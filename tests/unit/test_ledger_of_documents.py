"""The real ledger: complete, and honest about what is not confirmed."""

from collections import Counter

import pytest

from muse.claims.claim import Status

FAIR, FINAL = "phase7_vs_phase8", "phase7_vs_phase8_final"
TABLES = ("model_vram", "peak_vram", "activation_vram")
PAIRS = ("model_difference", "model_change", "peak_difference", "peak_change", "activation_difference")
SIZES = {"maximum", "large", "deep", "standard"}
COMPARED = [f"{phase}_{size}" for phase in ("phase7", "phase8") for size in SIZES]
"""The networks of the two comparisons."""


@pytest.fixture(scope="session")
def tables(real_ledger):
    """The cases of every claim, by its address without the case."""
    found = {}
    for claim in real_ledger.claims:
        found.setdefault(f"{claim.document}/{claim.name}", []).append(claim)
    return found


def test_it_loads_with_all_five_documents(real_ledger):
    """Without a fault, and each with claims; the README states none of its own."""
    assert {FAIR, FINAL, "max_parameters", "phase1_vram", "phase8_parameters"} <= set(real_ledger.documents)
    assert {claim.document for claim in real_ledger.claims} == set(real_ledger.documents) - {"readme"}


def test_every_address_is_there_once(real_ledger):
    """An address is a test's id and a record's key."""
    assert [id_ for id_, count in Counter(claim.id for claim in real_ledger.claims).items() if count > 1] == []


def test_every_verdict_that_is_not_confirmed_has_a_cause(real_ledger):
    """A finding says why."""
    assert [c.id for c in real_ledger.claims if c.recorded is not Status.CONFIRMED and not c.cause] == []


def test_no_confirmed_claim_keeps_a_cause_that_it_has_outgrown(real_ledger, tables):
    """A cause of its own stands only beside a verdict that needs one; a table may share one among its cases."""
    mixed = {name for name, claims in tables.items() if any(c.recorded is not Status.CONFIRMED for c in claims)}
    kept = [c.id for c in real_ledger.claims if c.recorded is Status.CONFIRMED and c.cause]
    assert [id_ for id_ in kept if id_.split("[")[0] not in mixed] == []


def test_a_claim_without_a_probe_is_recorded_as_unmeasured(real_ledger):
    """Nobody can confirm what nothing decides."""
    assert {claim.recorded for claim in real_ledger.claims if claim.probe is None} == {Status.UNMEASURED}


@pytest.mark.parametrize("name", [f"{FAIR}/parameters", *(f"{d}/{t}" for d in (FAIR, FINAL) for t in TABLES)])
def test_a_table_of_the_documents_has_a_case_for_every_model(tables, name):
    """Four sizes in two phases, each with the printed number and the words that print it."""
    claims = tables[name]
    assert Counter(claim.given["model"] for claim in claims) == Counter(COMPARED)
    assert all(claim.documented is not None and claim.quote for claim in claims)


@pytest.mark.parametrize("document", [FAIR, FINAL])
@pytest.mark.parametrize("table", TABLES)
def test_a_memory_table_is_decided_by_both_protocols_with_and_without_a_gpu(tables, document, table):
    """Measured and predicted, by the documents' procedure and by the sound one, with the same printed numbers."""
    four = [tables[f"{document}/{table}{suffix}"] for suffix in ("", "_predicted", "_sound", "_sound_predicted")]
    asked = [(claims[0].probe, claims[0].protocol) for claims in four]
    assert asked == [
        ("memory", "documented"),
        ("predicted_memory", "documented"),
        ("memory", "sound"),
        ("predicted_memory", "sound"),
    ]
    printed = [{claim.case: str(claim.documented) for claim in claims} for claims in four]
    assert all(one == printed[0] and len(one) == 8 for one in printed)
    assert {claim.beside for claims in four[1:] for claim in claims} == {f"{document}/{table}"}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_difference_has_a_case_for_every_size(tables, pair):
    """Phase 8 against Phase 7, by every procedure and by the documents' own arithmetic."""
    for suffix in ("", "_predicted", "_sound", "_sound_predicted", "_arithmetic"):
        assert {claim.case for claim in tables[f"{FAIR}/{pair}{suffix}"]} == SIZES
    for claim in tables[f"{FAIR}/{pair}"]:
        assert (claim.given["model"], claim.given["against"]) == (f"phase8_{claim.case}", f"phase7_{claim.case}")


@pytest.mark.parametrize("document", [FAIR, FINAL])
def test_the_documented_sequence_measures_every_model_once(real_ledger, document):
    """One order for all claims of the document, so that one run of it serves them all."""
    sequences = {
        tuple(claim.given["sequence"])
        for claim in real_ledger.claims
        if claim.document == document and claim.protocol == "documented" and claim.probe == "memory"
    }
    [sequence] = sequences
    assert Counter(sequence) == Counter(COMPARED)


def test_every_claim_by_the_documented_procedure_names_its_sequence(real_ledger):
    """Without it nobody knows which model is charged with the workspace."""
    asked = [c for c in real_ledger.claims if c.probe in ("memory", "predicted_memory") and c.protocol == "documented"]
    named = {
        c.id: [one["model"] if isinstance(one, dict) else one for one in c.given.get("sequence", ())] for c in asked
    }
    assert [c.id for c in asked if c.given["model"] not in named[c.id]] == []


def test_a_sentence_is_in_english_and_a_quote_in_the_document_s_words(real_ledger):
    """Sentences end as sentences; quotes are kept as they stand."""
    assert [
        claim.id for claim in real_ledger.claims if not claim.says.endswith(".") or not claim.says.isprintable()
    ] == []
    assert [c.id for c in real_ledger.claims if any("\u3040" <= letter <= "\u9fff" for letter in c.says)] == []
