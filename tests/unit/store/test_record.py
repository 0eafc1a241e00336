"""A record is one line of JSON that stands alone."""

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from muse.claims.claim import Claim, Scope, Status
from muse.claims.measurement import Measurement
from muse.claims.verdict import Verdict, judge
from muse.store.record import Record

CLAIM = Claim.model_validate(
    {
        "id": "paper/peak[large]",
        "document": "paper",
        "section": "Memory",
        "says": "The peak is 5.80 GiB.",
        "quote": "最大\n5.80 GB\u2028",
        "documented": Decimal("5.80"),
        "unit": "GiB",
        "probe": "memory",
        "quantity": "peak",
        "given": {"model": "phase7", "sizes": [1, 2]},
        "protocol": "documented",
        "expect": {"between": [Decimal("5.80"), 6]},
        "tolerance": {"relative": Decimal("0.010"), "because": "why"},
        "needs": ["gpu"],
        "recorded": "refuted",
        "cause": "Because.",
    }
)
MEASUREMENT = Measurement(
    value=Fraction(25, 4),
    low=6,
    high=6.5,
    scope=Scope.MEASURED,
    samples=(6, 6.25, Fraction(13, 2)),
    how={"backend": "math", "parts": {"model": 1, "sizes": [1, [2, None]]}, "casts": True},
)


@pytest.fixture
def record():
    """A record with text, numbers and nesting of every kind."""
    return Record(
        id="r1",
        run="20251122T000000Z_cpu_abc",
        time="2025-11-22T00:00:00+00:00",
        claim=CLAIM,
        verdict=Verdict(Status.REFUTED, "outside_bound", "too much", margin=-0.25),
        measurement=MEASUREMENT,
        fingerprint="0123",
        provenance={"commit": None, "dirty": True, "gpu": {"name": "T4"}, "packages": {"torch": "2.13"}},
    )


def test_a_record_comes_back_as_it_went(record):
    """Writing and reading is the identity."""
    assert Record.from_json(record.to_json()) == record


def test_an_unmeasured_record_comes_back_as_it_went(record):
    """A record may have no measurement and no margin."""
    bare = replace(record, measurement=None, verdict=Verdict(Status.UNMEASURED, "no_gpu"))
    assert Record.from_json(bare.to_json()) == bare


def test_a_printed_number_keeps_its_zero(record):
    """5.80 is still 5.80, and 0.010 still 0.010, after reading."""
    back = Record.from_json(record.to_json()).claim
    assert (str(back.documented), str(back.tolerance.relative)) == ("5.80", "0.010")


def test_a_record_is_one_line(record):
    """Line breaks in a quotation are escaped, for a row of the file is a line."""
    assert b"\n" not in record.to_json().encode()


def test_text_is_kept_readable(record):
    """Japanese is stored as Japanese."""
    assert "最大" in record.to_json()


def test_a_fraction_becomes_the_nearest_number(record):
    """JSON has no thirds."""
    third = replace(record, measurement=replace(MEASUREMENT, value=Fraction(1, 3)))
    assert json.loads(third.to_json())["measurement"]["value"] == 1 / 3


def test_a_whole_fraction_stays_exact(record):
    """A count above 2^53 loses no digit."""
    big = replace(record, measurement=replace(MEASUREMENT, value=Fraction(2**60 + 1)))
    assert Record.from_json(big.to_json()).measurement.value == 2**60 + 1


def test_reading_and_writing_again_gives_the_same_line(record):
    """Promoted evidence is byte for byte what was measured."""
    line = replace(record, measurement=replace(MEASUREMENT, value=Fraction(1, 3))).to_json()
    assert Record.from_json(line).to_json() == line


def test_a_claim_with_decimals_in_its_question_keeps_its_fingerprint(record):
    """A stored claim is recognised as the one in the ledger."""
    claim = CLAIM.model_copy(update={"given": {"curvature": Decimal("0.10")}})
    back = Record.from_json(replace(record, claim=claim).to_json()).claim
    assert back.fingerprint() == claim.fingerprint()


def test_a_stored_measurement_is_judged_as_it_was(record):
    """A record holds all that its verdict rests on."""
    back = Record.from_json(record.to_json())
    assert judge(back.claim, back.measurement) == judge(CLAIM, MEASUREMENT)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_never_written(record, value):
    """NaN and infinity are not JSON, and no evidence."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(record, measurement=replace(MEASUREMENT, value=value)).to_json()


def test_a_record_of_another_schema_is_refused(record):
    """A later form is not guessed at."""
    line = json.dumps({**json.loads(record.to_json()), "schema": 2})
    with pytest.raises(ValueError, match="not a record of schema 1"):
        Record.from_json(line)


@pytest.mark.parametrize("key", ["id", "claim", "verdict", "measurement", "provenance", "fingerprint", "schema"])
def test_a_record_without_one_of_its_parts_is_refused(record, key):
    """A row with a hole is not a record."""
    data = json.loads(record.to_json())
    del data[key]
    with pytest.raises((KeyError, TypeError)):
        Record.from_json(json.dumps(data))


def test_a_record_with_an_unknown_part_is_refused(record):
    """A row with something else in it is not a record."""
    with pytest.raises(TypeError):
        Record.from_json(json.dumps({**json.loads(record.to_json()), "note": "hand-made"}))
