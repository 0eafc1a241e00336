"""The view: which records are shown, how they share rows, and how numbers are finished."""

# ruff: noqa: RUF001  the signs are what is tested
from decimal import Decimal

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.claims.verdict import Verdict
from muse.errors import StoreError
from muse.probes import FIT
from muse.reporting import figures, view
from muse.reporting.figures import bound, figure, grouped, margin, places
from muse.reporting.words import load

LATER = "2025-12-24T00:00:00+00:00"


def rows(records, stale=lambda _: False):
    """All rows of the report of `records`."""
    return [row for d in view.build(records, stale, {}).documents for s in d.sections for row in s.rows]


def test_a_row_merges_documented_reproduced_and_sound_values(stated, found):
    """One sentence is one row: what was printed, what its procedure yields, and what is true."""
    base = stated("d/peak[Max]")
    sound = stated("d/fits[Max]", beside="d/peak", protocol="sound", documented=None, expect=Expect(at_most=Decimal(5)))
    (row,) = rows([found(base, 5.811), found(sound, 6.2)])
    assert (row.documented.plain, row.reproduced.best.value.plain, row.sound.best.value.plain) == (
        "5.80",
        "5.811",
        "6.200",
    )


def test_a_case_that_the_base_lacks_has_its_own_row(stated, found):
    """A claim beside another is not squeezed into the row of a different case."""
    other = stated("d/fits[Deep]", beside="d/peak", protocol="sound")
    assert [row.id for row in rows([found(stated("d/peak[Max]"), 5.8), found(other, 5.8)])] == [
        "d/peak[Max]",
        "d/fits[Deep]",
    ]


def test_claims_beside_each_other_end(stated, found):
    """Two claims that name each other are shown, not followed forever."""
    there, back = stated("d/a", beside="d/b"), stated("d/b", beside="d/a")
    assert len(rows([found(there, 5.8), found(back, 5.8)])) == 2


def test_the_newest_measured_record_wins(stated, found):
    """A later run on a machine without a GPU hides no evidence, and older evidence gives way."""
    old, new = found(stated(), 5.79), found(stated(), 5.81, time="2025-12-01T00:00:00+00:00")
    (row,) = rows([new, old, found(stated(), time=LATER)])
    assert row.reproduced.best.value.plain == "5.810"


def test_the_newest_unmeasured_record_is_shown_where_nothing_measured(stated, found):
    """Without evidence the latest reason stands."""
    late = found(stated(), time=LATER, verdict=Verdict(Status.UNMEASURED, "timeout"))
    (row,) = rows([late, found(stated())])
    assert (row.reproduced.best.value, row.reason) == (None, "The measuring process ran out of time.")


def test_offsets_of_time_are_heeded(stated, found):
    """Newest is by the moment, not by the text of the time."""
    early = found(stated(), 5.79, time="2025-12-01T09:00:00+09:00")
    (row,) = rows([early, found(stated(), 5.81, time="2025-12-01T01:00:00+00:00")])
    assert row.reproduced.best.value.plain == "5.810"


def test_an_unreadable_time_names_its_record(stated, found):
    """A record whose time is no time stops the report with one line."""
    with pytest.raises(StoreError, match=r"^record r7: unreadable time 'noon'"):
        rows([found(stated(), 5.8, time="noon", id="r7")])


def test_measured_stands_before_predicted(stated, found):
    """The strongest evidence fills the column; the prediction stays beside it."""
    forecast = stated("d/forecast", beside="d/peak", documented=None, expect=Expect(equals=Decimal("5.80")))
    (row,) = rows([found(forecast, 5.9, scope=Scope.PREDICTED), found(stated("d/peak"), 5.81)])
    assert (row.reproduced.best.scope, [a.value.plain for a in row.reproduced.asides]) == ("measured", ["5.900"])


@pytest.mark.parametrize(
    ("sound_value", "verdict"), [(4.0, "confirmed"), (6.0, "reproduced: confirmed; sentence: refuted")]
)
def test_both_verdicts_are_told_where_they_differ(stated, found, sound_value, verdict):
    """A number that reproduces may still be false, and the row says both."""
    sound = stated("d/fits", beside="d/peak", protocol="sound", documented=None, expect=Expect(at_most=Decimal(5)))
    (row,) = rows([found(stated("d/peak"), 5.8), found(sound, sound_value)])
    assert row.verdict == verdict


def test_the_sound_verdict_is_the_rows(stated, found):
    """Where both procedures ran, the sound one decides; the other is found by its verdict too."""
    sound = stated("d/fits", beside="d/peak", protocol="sound", documented=None, expect=Expect(at_most=Decimal(5)))
    (row,) = rows([found(stated("d/peak"), 5.8), found(sound, 6.0)])
    assert row.tags == ("refuted", "confirmed", "differ")


def test_a_refuted_row_tells_the_cause(stated, found):
    """The reason is in words, followed by the cause."""
    (row,) = rows([found(stated(cause="The fp32 weights were counted."), 9.0)])
    assert row.reason == "Outside the bound. The fp32 weights were counted."


def test_a_confirmed_row_gives_no_cause(stated, found):
    """A cause that outlived its refutation is not repeated."""
    (row,) = rows([found(stated(cause="The fp32 weights were counted."), 5.8)])
    assert row.reason == ""


def test_tallies_count_claims(stated, found):
    """The summary counts every claim once, under its verdict."""
    records = [
        found(stated("d/a"), 5.8),
        found(stated("d/b"), 9.0),
        found(stated("d/c")),
        found(stated("d/d"), 5.8, low=5, high=6),
    ]
    assert view.build(records, lambda r: r.claim.id == "d/a", {}).total == view.Tally("all", 4, 1, 1, 1, 1, 1)


def test_order_follows_the_fullest_run(stated, found):
    """A later run of one claim does not move it to the top, wherever its file sorts."""
    full = [found(stated(f"d/{name}", section=name), 5.8) for name in "xab"]
    again = found(stated("d/b", section="b"), 5.81, run="0", time=LATER)
    assert [row.id for row in rows([again, *full])] == ["d/x", "d/a", "d/b"]


def test_documents_are_sorted_by_name(stated, found):
    """Documents stand in the order of their names, under their titles."""
    built = view.build([found(stated("z/a"), 5.8), found(stated("b/a"), 5.8)], lambda _: False, {"b": "The B"})
    assert [document.title for document in built.documents] == ["The B", "z"]


def test_machines_list_evidence_alone(stated, found):
    """A machine that could not measure anything brings no evidence."""
    elsewhere = {"machine": "laptop", "gpu": None, "commit": None, "dirty": None}
    built = view.build([found(stated("d/a"), 5.8), found(stated("d/b"), provenance=elsewhere)], lambda _: False, {})
    assert [(m.name, m.driver, m.dates, m.claims) for m in built.machines] == [
        ("nvidia-h100-80gb-hbm3", "560.35.03", "2025-11-30", 1)
    ]


def test_uncommitted_changes_are_told(stated, found):
    """Evidence from a changed tree says so."""
    dirty = {"machine": "laptop", "commit": "0123456789abcdef", "dirty": True}
    (row,) = rows([found(stated(), 5.8, provenance=dirty)])
    assert row.cells[0].commit == "0123456789, uncommitted changes"


def test_an_interval_is_shown_where_there_is_one(stated, found):
    """A noisy value carries its interval; a certain one does not."""
    noisy, sure = rows([found(stated("d/a"), 2.03, low=1.97, high=2.09), found(stated("d/b"), 2.03)])
    assert (noisy.cells[0].low.plain, noisy.cells[0].high.plain, sure.cells[0].low) == ("1.970", "2.090", None)


def test_a_miss_is_visible(stated, found):
    """A value just outside its bound is printed with the digits that show it."""
    (row,) = rows([found(stated(protocol="sound", expect=Expect(at_most=Decimal("5.8"))), 5.80003)])
    assert (row.status, row.sound.best.value.plain) == ("refuted", "5.80003")


@pytest.mark.parametrize(
    ("value", "unit", "documented", "printed"),
    [
        (1_263_940_752, "count", "1263940752", "1,263,940,752"),
        (106_810_512, "million", "106.8", "106.81"),
        (8_519_680, "MiB", None, "8.125"),
        (0.8476, "percent", "84.8", "84.76"),
        (68.6, "times", "69", "68.60"),
        (-0.5, "order", None, "−0.5"),
        (0.0000123, "s", None, "1.23 × 10⁻⁵"),
    ],
)
def test_numbers_are_finished_for_people(value, unit, documented, printed):
    """A value has one digit more than the document's, commas between thousands and a true minus."""
    number = documented and Decimal(documented)
    assert figure(value, unit, places(value, unit, number, None)).grouped == printed


def test_negative_zero_keeps_its_decimals():
    """A small negative number does not lose its sign when it is grouped."""
    assert grouped("-0.25") == "−0.25"


def test_a_bound_tells_its_interval(stated):
    """The details name the bound and what its tolerance leaves open."""
    assert bound(stated(protocol="sound"), load()) == "equals 5.80 GiB, that is 5.795 to 5.805"


def test_a_margin_tells_its_side(stated):
    """The distance to the bound is in the claim's unit, inside or outside."""
    assert margin(-0.5 * 2**30, stated(), load()) == "0.5 GiB outside"


def test_anchors_are_unique_addresses(stated, found):
    """Ids become link targets without escapes, and two ids never share one."""
    ids = ["d/a[x y]", "d/a[x-y]", "d/a[x]", "d/a"]
    anchors = [row.anchor for row in rows([found(stated(one), 5.8) for one in ids])]
    assert anchors[1:] == ["d/a:x-y", "d/a:x", "d/a"]
    assert len(set(anchors)) == 4


def test_a_document_tells_where_its_evidence_was_taken(stated, found):
    """The GPU and its days, and apart from it what needed none."""
    laptop = {"machine": "laptop", "gpu": None}
    records = [
        found(stated("d/a"), 5.8),
        found(stated("d/b"), 5.8, time=LATER),
        found(stated("d/c"), 5.8, provenance=laptop),
    ]
    (document,) = view.build(records, lambda _: False, {}).documents
    assert document.places == (
        "NVIDIA H100 80GB HBM3, 2025-11-30 to 2025-12-24 (2 claims)",
        "laptop without a GPU, 2025-11-30 (1 claims)",
    )


def test_values_sort_within_their_dimension(stated, found):
    """Bytes and counts carry what they are, so that a page never compares them."""
    bytes_, count = rows(
        [found(stated("d/a"), 5.8), found(stated("d/b", unit="count", documented=Decimal(3)), 3, scope=Scope.EXACT)]
    )
    assert (bytes_.documented.dimension, count.reproduced.best.value.dimension) == ("bytes", "count")


def test_what_fit_found_is_titled_as_such(stated, found):
    """Its first figure is a prediction, which no document printed."""
    report = view.build([found(stated(f"{FIT}/inference"), 5.8)], lambda _: False, {})
    assert "predicted" in report.documents[0].title


def test_nothing_inside_is_told_as_none():
    """A kernel without tuned configurations says so."""
    assert figures.pairs({"rival": {"configurations": {}, "by": []}}) == (("rival", "by none; configurations none"),)
