"""Claim files become claims, and every fault of every file is told with its line."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest

from muse.claims.claim import Data, Signature, Status
from muse.claims.entries import json_schema
from muse.claims.ledger import load_ledger
from muse.errors import LedgerError


class OfMemory(Data):
    """What the memory probe may be given."""

    model: str
    tokens: int = 512


class OfArithmetic(Data):
    """What the arithmetic probe may be given."""

    operands: tuple[int, ...] = ()


PROBES = {
    "memory": Signature("probes.memory", {"peak": "bytes", "reduction": "ratio"}, OfMemory, needs=("gpu",)),
    "arithmetic": Signature("probes.arithmetic", {"result": "*"}, OfArithmetic),
}
DOCUMENT = "title: A paper\npublished: 2025-11-22\nhardware: RTX 3080\n"
HEAD = "section: Memory\nclaims:\n"
PEAK = """\
  peak:
    says: The peak is 5.80 GiB.
    documented: 5.80
    unit: GiB
    probe: memory
    quantity: peak
    given: {model: phase7}
    protocol: documented
    recorded: confirmed
"""


@pytest.fixture
def ledger(tmp_path):
    """Writes claim files and loads them; a file's text stands for its claims, a document is added unless given."""

    def load(**files: str):
        for name, text in {"document": DOCUMENT, **files}.items():
            file = tmp_path / "paper" / f"{name}.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return load_ledger(tmp_path, PROBES)

    return load


@pytest.fixture
def faults(ledger, tmp_path):
    """Writes claim files and returns what is wrong with them, with paths relative to the document."""

    def load(**files: str) -> list[str]:
        with pytest.raises(LedgerError) as caught:
            ledger(**files)
        return [fault.replace(f"{tmp_path}/paper/", "") for fault in caught.value.faults]

    return load


def edited(old: str, new: str) -> str:
    """Return the file with one good claim after one edit, which must hit exactly once."""
    assert PEAK.count(old) == 1
    return HEAD + PEAK.replace(old, new)


def test_a_claim_keeps_its_number_as_printed(ledger):
    """5.80 keeps its two places on the way from YAML to the claim."""
    [claim] = ledger(memory=HEAD + PEAK).claims
    assert str(claim.documented) == "5.80"


def test_a_claim_knows_where_it_comes_from(ledger):
    """Its folder is its document, its file's heading its section, and its name its address."""
    [claim] = ledger(memory=HEAD + PEAK).claims
    assert (claim.id, claim.document, claim.section) == ("paper/peak", "paper", "Memory")


def test_a_claim_needs_what_its_probe_needs(ledger):
    """The need for a GPU is the probe's knowledge, not the author's."""
    [claim] = ledger(memory=HEAD + PEAK).claims
    assert claim.needs == ("gpu",)


def test_a_documented_number_is_expected_by_default(ledger):
    """Without a bound of its own a claim expects its documented number."""
    [claim] = ledger(memory=HEAD + PEAK).claims
    assert claim.expect.equals == Decimal("5.80")


def test_a_documented_result_of_arithmetic_must_be_attainable_by_default(ledger):
    """Operands are printed numbers, so their result need only be within reach of their rounding."""
    text = edited(
        "probe: memory\n    quantity: peak\n    given: {model: phase7}", "probe: arithmetic\n    quantity: result"
    )
    [claim] = ledger(memory=text).claims
    assert claim.expect.kind == "attainable"


def test_a_stated_bound_replaces_the_default(ledger):
    """A documented number beside a bound is only shown; the bound decides."""
    [claim] = ledger(memory=edited("protocol:", "expect: {at_most: 8}\n    protocol:")).claims
    assert claim.bounds() == (None, Fraction(8 * 2**30))


CASES = (
    PEAK
    + """\
    cases:
      large: {documented: 4.80, given: {tokens: 1024}}
      deep:
        says: Another sentence.
        unit: GB
        recorded: refuted
        cause: The unit is wrong.
"""
)


def test_cases_are_addressed_by_their_names(ledger):
    """A table gives one claim per row and none for itself."""
    assert [claim.id for claim in ledger(memory=HEAD + CASES).claims] == ["paper/peak[large]", "paper/peak[deep]"]


def test_a_case_inherits_what_it_does_not_state(ledger):
    """The large row has its claim's sentence, unit, probe and verdict."""
    large = ledger(memory=HEAD + CASES).claims[0]
    inherited = (large.says, large.unit, large.probe, large.recorded)
    assert inherited == ("The peak is 5.80 GiB.", "GiB", "memory", Status.CONFIRMED)


def test_a_case_overrides_what_it_states(ledger):
    """The deep row has a sentence, a unit and a verdict of its own, and its claim's number."""
    deep = ledger(memory=HEAD + CASES).claims[1]
    stated = (deep.says, deep.unit, deep.recorded, str(deep.documented))
    assert stated == ("Another sentence.", "GB", Status.REFUTED, "5.80")


def test_a_case_expects_its_own_number(ledger):
    """The default bound comes from the row, not from the claim around it."""
    assert ledger(memory=HEAD + CASES).claims[0].expect.equals == Decimal("4.80")


def test_a_case_adds_to_what_its_claim_gives(ledger):
    """`given` is merged key by key."""
    assert ledger(memory=HEAD + CASES).claims[0].given == {"model": "phase7", "tokens": 1024}


def test_beside_names_a_claim_of_the_same_document(ledger):
    """The neighbour is kept by its full address."""
    second = PEAK.replace("peak:\n", "truth:\n    beside: peak\n", 1)
    assert ledger(memory=HEAD + PEAK + second).claims[1].beside == "paper/peak"


def test_documents_are_read_with_their_claims(ledger):
    """document.yaml says what the document is."""
    assert ledger(memory=HEAD + PEAK).documents["paper"].hardware == "RTX 3080"


def test_a_folder_that_begins_with_an_underscore_is_no_document(ledger, tmp_path):
    """Such a folder may hold a schema or drafts."""
    (tmp_path / "_drafts").mkdir()
    assert list(ledger(memory=HEAD + PEAK).documents) == ["paper"]


def test_the_numbers_of_a_document_are_no_claims(ledger):
    """numbers.yaml lies beside the claim files, and is not one."""
    assert len(ledger(memory=HEAD + PEAK, numbers="source: paper.md\n").claims) == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("unit: GiB", "units: GiB", 6, "unknown key 'units' in claims.peak.units"),
        ("probe: memory", "probe: memery", 3, "unknown probe 'memery', expected one of arithmetic, memory"),
        ("quantity: peak", "quantity: top", 3, "unknown quantity 'top', expected one of peak, reduction"),
        ("    quantity: peak\n", "", 3, ", expected one of peak, reduction"),
        ("unit: GiB", "unit: GIB", 3, "unknown unit 'GIB', expected one of B, KiB"),
        ("unit: GiB", "unit: percent", 3, "wrong unit 'percent' for peak, expected one of B, KiB, MiB, GiB"),
        ("protocol:", "expect: {at_most: 8, at_least: 1}\n    protocol:", 10, "impossible bound: expected exactly one"),
        ("protocol:", "expect: {between: [8, 1]}\n    protocol:", 10, "impossible bound: between 8 and 1 is empty"),
        ("documented: 5.80", "documented: lots", 5, "claims.peak.documented: "),
        ("documented: 5.80", "documented: .nan", 5, "bad number '.nan', expected decimal digits"),
        ("recorded: confirmed", "recorded: refuted", 3, "recorded: refuted without a cause"),
        ("recorded: confirmed", "recorded: held", 11, "claims.peak.recorded: "),
        ("protocol: documented", "protocol: guessed", 10, "claims.peak.protocol: "),
        ("    recorded: confirmed\n", "", 3, "missing 'recorded', expected it in the claim or in the case"),
        ("    says: The peak is 5.80 GiB.\n", "", 3, "missing 'says', expected it in the claim or in the case"),
        ("    documented: 5.80\n", "", 3, "missing 'expect', expected it in the claim or in the case"),
        ("    probe: memory\n", "", 3, "no probe, expected one, or recorded: unmeasured"),
        ("{model: phase7}", "{model: phase7, token: 5}", 3, "given: unknown key 'token' in token"),
        ("{model: phase7}", "{model: phase7, tokens: many}", 3, "given: tokens: "),
        ("{model: phase7}", "{}", 3, "given: missing key 'model' in model"),
        ("protocol:", "beside: nobody\n    protocol:", 3, "beside an unknown claim 'nobody'"),
        (
            "protocol:",
            "tolerance: {relative: 0.1}\n    protocol:",
            10,
            "missing key 'because' in claims.peak.tolerance",
        ),
        ("unit: GiB", "unit: GiB\n    unit: GB", 7, "duplicate key 'unit', expected each name once"),
        ("unit: GiB", "unit: [GiB", 7, "bad YAML: "),
    ],
)
def test_a_fault_names_its_file_and_line(faults, old, new, line, told):
    """One edit to a good file gives one fault, at the line of the key, or of the row for a row's faults."""
    [fault] = faults(memory=edited(old, new))
    assert re.match(rf"memory\.yaml:{line}: ", fault)
    assert told in fault


def test_a_fault_of_a_case_has_the_line_of_its_row(faults):
    """Of two rows the faulty one is named."""
    [fault] = faults(memory=HEAD + CASES.replace("unit: GB", "unit: gigs"))
    assert fault.startswith("memory.yaml:14: paper/peak[deep]: unknown unit 'gigs'")


def test_a_name_used_in_two_files_is_a_fault_that_names_both(faults):
    """A name is unique in its document, since it is its address."""
    assert faults(memory=HEAD + PEAK, speed="\n" + HEAD + PEAK) == [
        "speed.yaml:4: duplicate id paper/peak, first stated at memory.yaml:3"
    ]


def test_the_same_name_in_two_documents_is_no_fault(ledger, tmp_path):
    """Addresses begin with the document."""
    other = tmp_path / "readme"
    other.mkdir()
    (other / "document.yaml").write_text(DOCUMENT)
    (other / "memory.yaml").write_text(HEAD + PEAK)
    assert [claim.id for claim in ledger(memory=HEAD + PEAK).claims] == ["paper/peak", "readme/peak"]


def test_a_missing_section_is_a_fault(faults):
    """A file says under which heading its claims are stated."""
    assert faults(memory="claims:\n" + PEAK) == ["memory.yaml:1: missing key 'section' in section"]


def test_a_missing_document_is_a_fault(faults, tmp_path):
    """Every folder says which document it is about."""
    (tmp_path / "readme").mkdir()
    [fault] = faults(memory=HEAD + PEAK)
    assert fault.endswith("/readme/document.yaml:1: missing, expected a file with title, published and hardware")


def test_an_empty_file_is_a_fault(faults):
    """An empty file is not a file without claims."""
    [fault] = faults(memory="")
    assert fault.startswith("memory.yaml:1: ")


def test_all_faults_of_all_files_are_told_at_once(faults):
    """Nobody mends a ledger one run at a time."""
    told = faults(
        document=DOCUMENT + "pages: 9\n",
        a=edited("unit: GiB", "unit: gigs").replace("recorded: confirmed", "recorded: refuted"),
        b=edited("says:", "sais:"),
        c="claims: ]",
    )
    places = [re.match(r"\w+\.yaml:\d+", fault)[0] for fault in told]
    assert places == ["a.yaml:3", "a.yaml:3", "b.yaml:4", "c.yaml:1", "document.yaml:4"]


def test_a_claim_without_a_probe_is_unmeasured_and_says_why(ledger):
    """A sentence that nothing can decide stays in the ledger, with its reason."""
    text = edited("    probe: memory\n    quantity: peak\n    given: {model: phase7}\n", "")
    text = text.replace("recorded: confirmed", "recorded: unmeasured\n    cause: The code is lost.")
    assert ledger(memory=text).claims[0].probe is None


@pytest.mark.parametrize(
    ("key", "allowed"),
    [("probe", ["arithmetic", "memory"]), ("quantity", ["peak", "reduction", "result"])],
)
@pytest.mark.parametrize("entry", ["ClaimEntry", "CaseEntry"])
def test_the_schema_lists_probes_and_quantities(entry, key, allowed):
    """An editor offers what this program can measure, and nothing."""
    assert json_schema(PROBES)["$defs"][entry]["properties"][key]["enum"] == [*allowed, None]


def test_the_schema_knows_every_key_of_a_good_claim_and_no_other():
    """An editor marks a misspelt key as the loader does."""
    entry = json_schema(PROBES)["$defs"]["ClaimEntry"]
    stated = set(re.findall(r"^    (\w+):", CASES, re.MULTILINE))
    assert stated <= set(entry["properties"])
    assert entry["additionalProperties"] is False


FIGURES = (
    DOCUMENT
    + """figures:
  peak: {draw: dots, claims: [peak], title: Peaks}
"""
)


def test_a_document_declares_its_figures(ledger):
    """Of its own claims, under addresses."""
    [figure] = ledger(results=HEAD + PEAK, document=FIGURES).documents["paper"].figures
    assert (figure.name, figure.draw, figure.claims, figure.title) == ("paper-peak", "dots", ("paper/peak",), "Peaks")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[peak]", "[peek]", "document.yaml:5: paper-peak: unknown claim 'peek'"),
        ("dots", "pie", "document.yaml:5: figures.peak.draw: Input should be 'dots', 'kinds', 'scaling', "),
    ],
)
def test_a_wrong_figure_is_one_fault(faults, old, new, told):
    """A claim that is not there would leave a picture out silently."""
    [fault] = faults(results=HEAD + PEAK, document=FIGURES.replace(old, new))
    assert fault.startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It peaks at {peek}.", "findings: unknown claim 'peek'"),
        ("It peaks at {peak:MW}.", "findings: unknown unit 'MW' of peak"),
        ("It peaks at {peak.", "findings: stray '{peak.'"),
        ("It peaks.", "findings: names no claim, expected one in braces, where its figure stands"),
    ],
)
def test_a_finding_rests_on_claims_that_there_are(faults, text, told):
    """Its figures come from records, or it is none."""
    [fault] = faults(results=HEAD + PEAK, document=f'{DOCUMENT}findings:\n  - "{text}"\n')
    assert fault.startswith(f"document.yaml:5: {told}")


def test_a_document_tells_its_findings(ledger):
    """In their order, with the braces."""
    text = DOCUMENT + 'findings: ["It peaks at {peak}.", "At {paper/peak:MiB}, that is."]\n'
    told = ledger(results=HEAD + PEAK, document=text).documents["paper"].findings
    assert told == ("It peaks at {peak}.", "At {paper/peak:MiB}, that is.")
