"""`muse coverage` judges a number by the measurement where there is one, and says what is only predicted."""

import json

import pytest

from muse.claims.claim import Scope
from muse.claims.measurement import certain
from muse.claims.verdict import judge
from muse.config import load_settings
from muse.store import files
from muse.store.record import Record
from muse.verify import fingerprint, open_ledger

GUESS = """\
  {name}:
    beside: wanted
    says: It peaks.
    unit: GiB
    probe: {probe}
    quantity: peak
    protocol: sound
    given: {{model: phase7_standard}}
    expect: {{equals: 7}}
    recorded: unmeasured
    cause: It is so.
"""
WANTED = """\
  wanted:
    says: It needs 7 GB.
    unit: GiB
    protocol: documented
    documented: 7
    recorded: unmeasured
    cause: It is so.
"""


@pytest.fixture
def bound(muse, project, real_ledger):
    """The program's output where 7 GB is bound to a claim, by records of it and of the claim that predicts the same."""

    def cover(to="guess", **values):
        with (project / "claims/paper/results.yaml").open("a") as file:
            file.write(WANTED)
            file.write(GUESS.format(name="guess", probe="memory"))
            file.write(GUESS.format(name="guess_predicted", probe="predicted_memory"))
        with (project / "claims/paper/numbers.yaml").open("a") as file:
            file.write(f'  "More":\n    - 7 GB: {to}\n')
        with (project / "paper.md").open("a") as file:
            file.write("\n## More\n\nIt needs 7 GB.\n")
        for claim in open_ledger(load_settings()).claims:
            if claim.name in values:
                files.append(project / "results/m/r.jsonl", taken(claim, values[claim.name]))
        return muse("coverage", str(project / "paper.md"), "--json")[1], muse("coverage", str(project / "paper.md"))

    (project / "results/m").mkdir()
    return cover


def taken(claim, value):
    """A record of this many GiB, as of today's sources."""
    scope = Scope.PREDICTED if claim.probe.startswith("predicted_") else Scope.MEASURED
    measurement = certain(value * 2**30, scope)
    time, verdict = "2026-01-01T00:00:00+00:00", judge(claim, measurement)
    return Record(claim.id, "run", time, claim, verdict, measurement, fingerprint(claim), {"machine": "m"})


@pytest.mark.parametrize("to", ["guess", "guess_predicted"])
def test_a_number_is_judged_by_the_measurement_and_a_differing_prediction_is_told(bound, to):
    """Whether it is bound to the claim that measures or to the one that predicts."""
    facts, (code, out, _) = bound(to, guess=7, guess_predicted=9)
    assert code == 0
    assert f"  7 GB        {to}: confirmed (the prediction is refuted)\n" in out
    number = json.loads(facts)[0]["numbers"][-1]
    assert (number["is"], number["scope"], number["prediction"]) == ("confirmed", "measured", "refuted")


def test_a_prediction_that_agrees_is_not_told(bound):
    """The line is then the verdict alone."""
    assert "  7 GB        guess: confirmed\n" in bound(guess=7, guess_predicted=7)[1][1]


@pytest.mark.parametrize("to", ["guess", "guess_predicted"])
def test_a_number_that_rests_on_a_prediction_alone_is_listed_as_predicted(bound, to):
    """And counted once more at the end."""
    facts, (_, out, _) = bound(to, guess_predicted=9)
    assert f"  7 GB        {to}: refuted (predicted)\n" in out
    assert out.endswith("    predicted     1  of these, decided by a prediction alone\n")
    assert json.loads(facts)[0]["numbers"][-1]["scope"] == "predicted"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"guess": 7, "guess_predicted": 9}, "guess is confirmed, the prediction is refuted"),
        ({"guess": 7, "guess_predicted": 7}, "guess is confirmed"),
        ({"guess_predicted": 9}, "guess is refuted, predicted"),
    ],
)
def test_a_claim_beside_is_judged_alike_and_named_once(bound, values, told):
    """By its measurement, with what differs from it."""
    assert f"  7 GB        wanted: unmeasured (recorded; {told})\n" in bound("wanted", **values)[1][1]
