"""The committed evidence and the reports rendered from it."""

import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from muse.claims.claim import Status
from muse.config import load_settings
from muse.coverage.numbers import SUFFIXES, numbers
from muse.memory.card import card
from muse.memory.predict import predict, workspace_bytes
from muse.probes import predicted_memory
from muse.probes.bench import Bench
from muse.probes.workloads import subject, workload
from muse.reporting import publish
from muse.reporting.evidence import chosen
from muse.reporting.words import searched, spoken
from muse.store.files import read_all
from muse.units import UNITS, half_step
from muse.verify import changed, fingerprint, in_order, open_ledger, stale

SETTINGS = load_settings(Path(__file__).parents[2])

COMPUTED = {
    "8.5 MB": "a workspace of 8.125 MiB",
    "5.34 GB": "four bytes for each parameter: AdamW's two states in half precision",
    "5.06 GB": "the same",
    "90 %": "the share of 8 GB at which the document's search ended",
    "98.5 %": "a feed-forward network of 4096 x 1024 x 2 weights and 5,120 biases, of 8,524,800 parameters",
    "39.1 MiB": "2 x 512 x 10,000 logits in half precision, and as many gradients",
    "0.35 %": "0.02 of 5.74, which two rounded figures leave open",
    "0.02 %": "1,112,104 of 4,840,691,712 parameters",
    "8.12 GiB": "twice 4.06 GiB",
}
"""Figures of causes that are arithmetic on others, and how."""


@pytest.fixture(scope="module")
def ledger():
    """The real claims."""
    return open_ledger(SETTINGS)


@pytest.fixture(scope="module")
def records():
    """All committed records."""
    return read_all(SETTINGS.path("results"))


def test_the_committed_reports_are_what_the_committed_records_give(ledger, records):
    """Byte for byte, and no file more; after a change that marks evidence stale, `make report` renders them again."""
    folder = SETTINGS.path("reports")

    templates = searched(folder)
    found = publish.files(
        in_order(records, ledger), lambda one: stale(one, ledger), ledger.documents, list(spoken(templates)), templates
    )
    assert [name for name, content in found.items() if (folder / name).read_bytes() != content] == []
    assert publish.left_over(found, folder) == []


def test_the_committed_verdicts_are_those_that_the_ledger_records(ledger, records):
    """Of evidence that still holds: a verdict that today's ledger does not state is a change that nobody looked at."""
    told = in_order(records, ledger)
    assert [record.claim.id for record in told if changed(record) and not stale(record, ledger)] == []


def test_every_recorded_verdict_has_a_record_that_still_holds(ledger, records):
    """A verdict that nobody measured is an opinion; what no probe can decide is recorded as unmeasured."""
    known = {(record.claim.id, record.fingerprint) for record in records}
    decided = [claim for claim in ledger.claims if claim.recorded is not Status.UNMEASURED]
    assert [claim.id for claim in decided if (claim.id, fingerprint(claim)) not in known] == []
    assert [claim.id for claim in decided if claim.probe is None] == []


@pytest.mark.parametrize("model", ["phase7_maximum", "phase8_maximum"])
def test_the_prediction_is_within_a_hundredth_of_the_committed_measurement(records, model):
    """Three billion parameters, predicted here and measured on a GPU."""
    address = f"phase7_vs_phase8/peak_vram_sound[maximum-{model.split('_')[0]}]"
    measured = [r.measurement.value for r in records if r.claim.id == address and r.measurement][-1]
    found = predict(workload({"model": model}), workspace_bytes(SETTINGS.cublas_workspace), card("h100")).total_bytes
    assert found == pytest.approx(measured, rel=0.01)


def test_the_committed_predictions_are_the_committed_measurements_to_the_byte(records):
    """All eight networks: what fake tensors said is what the GPU allocated."""
    of = {r.claim.id: r.measurement.value for r in records if r.measurement}
    peaks = {address for address in of if address.startswith("phase7_vs_phase8/peak_vram_sound[")}
    assert len(peaks) == 8
    assert {a: of[a] for a in peaks} == {a: of[a.replace("_sound[", "_sound_predicted[")] for a in peaks}


@pytest.mark.parametrize(
    "address",
    [
        "peak_is_predicted[baseline-small-none-fp16]",
        "peak_is_predicted[baseline-small-none-fp32]",
        "peak_is_predicted[phase1-standard-none-fp32]",
        "peak_is_predicted[phase1-ultra-none-fp16]",
        "peak_is_predicted[phase2-none]",
        "documented_peak_is_predicted[baseline-small-passes-fp16]",
    ],
)
def test_a_training_step_is_predicted_as_an_h100_measured_it(ledger, records, tmp_path, address):
    """To a ten-thousandth, which the order of allocations, additions in place and every rule of scratch decide."""
    [claim] = [claim for claim in ledger.claims if claim.id == f"predictions/{address}"]
    measured = [r.measurement.how["measured"] for r in records if r.claim.id == claim.id and r.measurement][-1]
    found = predicted_memory.read(claim, Bench(SETTINGS, tmp_path), subject(claim.given), card("h100"))["peak"]
    assert found == pytest.approx(measured, rel=1e-4)


def test_a_figure_that_a_cause_or_a_finding_states_itself_is_one_of_the_records(ledger, records):
    """Bytes and percentages that no placeholder takes from a record: a record's value, a document's number, or sums."""
    known = defaultdict(list)
    for record in chosen(records):
        if record.measurement:
            known[record.claim.document].append((UNITS[record.claim.unit], Fraction(record.measurement.value)))
    for claim in ledger.claims:
        if claim.documented is not None:
            known[claim.document].append((UNITS[claim.unit], Fraction(claim.documented) * UNITS[claim.unit].factor))

    def stands_for_itself(number, document, own):
        if number.suffix not in SUFFIXES or SUFFIXES[number.suffix][0] not in ("bytes", "ratio"):
            return True
        if number.printed in {*COMPUTED, *(one.printed for one in numbers(own))}:
            return True
        dimension, factors = SUFFIXES[number.suffix]
        value, slack = abs(Fraction(number.value)), half_step(number.value)
        return any(
            unit.dimension == dimension and abs(abs(found) - value * factor) <= slack * factor
            for unit, found in known[document]
            for factor in factors
        )

    causes = [(one.id, one.document, one.cause or "", f"{one.quote} {one.says}") for one in ledger.claims]
    findings = [(name, name, text, "") for name, one in ledger.documents.items() for text in one.findings]
    wrong = {
        f"{name}: {number.printed}"
        for name, document, text, own in causes + findings
        for number in numbers(re.sub(r"\{.*?\}", "", text))
        if not stands_for_itself(number, document, own)
    }
    assert wrong == set()
