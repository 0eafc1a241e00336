"""Pictures: the values drawn are the records', the files never differ, and nothing is drawn from nothing."""

# ruff: noqa: RUF001  the signs are what is tested
import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from muse.claims.claim import Figure, Scope
from muse.claims.measurement import certain
from muse.reporting import evidence, plots
from muse.reporting.plots import canvas, dots, floors, kinds, ladder, misses, scaling
from muse.reporting.plots.rows import rows
from muse.reporting.words import load, searched
from muse.store import files

ROOT = Path(__file__).parents[3]
GIB = 2**30
SVG = "{http://www.w3.org/2000/svg}"
DRAWN = ("peak", "activation", "operations", "time", "memory", "modes")
BY_KIND = {"parameters": 2 * GIB, "gradients": GIB, "optimizer": 0, "activations": GIB, "workspace": 0}


@pytest.fixture(scope="module")
def committed():
    """The committed records."""
    return files.read_all(ROOT / "reports/results")


@pytest.fixture(scope="module")
def figures(real_ledger):
    """Those that our documents declare."""
    return [figure for document in real_ledger.documents.values() for figure in document.figures]


@pytest.fixture(scope="module")
def pictures(committed, figures):
    """The pictures of the committed records, by name."""
    words = [load(lang, searched(ROOT / "reports")) for lang in ("en", "ja")]
    return {picture.name: picture for picture in plots.draw(committed, figures, words)}


@pytest.fixture
def steps(stated, found):
    """Three steps from a baseline down, documented and measured."""
    table = {"baseline": ("400", 400), "half": ("200.0", 220), "least": ("100.0", 90)}

    def claim(name, case, number, **changes):
        return stated(f"phase1_vram/{name}[{case}]", unit="MiB", quantity="peak", documented=Decimal(number), **changes)

    unmeasured = [found(claim("peak", case, number)) for case, (number, _) in table.items()]
    sound = {"protocol": "sound", "beside": "phase1_vram/peak"}
    measured = [found(claim("sound", case, number, **sound), value) for case, (number, value) in table.items()]
    return unmeasured + measured


@pytest.mark.parametrize("name", DRAWN)
def test_the_committed_records_give_the_picture(pictures, name):
    """The evidence that is there is enough for it."""
    assert f"phase7_vs_phase8-{name}" in pictures


def test_a_picture_without_evidence_is_left_out(stated, found):
    """Neither without records nor with an unmeasured one."""
    drawn = Figure("d-peak", "dots", ("d/peak",), "Peak memory")
    assert plots.draw([], [drawn], [load()]) == ()
    assert plots.draw([found(stated("d/peak[maximum]"))], [drawn], [load()]) == ()


def test_every_declared_figure_is_drawn(pictures, figures):
    """The evidence for all is there."""
    assert list(pictures) == [figure.name for figure in figures]


def test_dots_stand_where_the_records_say(committed):
    """Printed numbers, then each procedure's, each in its row."""
    with canvas.style("x"):
        axes = dots.draw(committed, ["phase7_vs_phase8/activation_vram"]).figure.axes[0]
    table = rows(committed, "phase7_vs_phase8/activation_vram")
    lines = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == len(table)]
    sides = ([row.documented for row in table], *([r[0].measurement.value for r in side] for side in _sides(table)))
    assert lines == [[pytest.approx(float(value) / GIB) for value in side] for side in sides]
    assert [label.get_text() for label in axes.get_yticklabels()] == [row.claim.case for row in table]


def test_operators_stand_on_the_scale_of_their_floors(timed):
    """A bar from the floor to ours, and a mark for everybody else; without a floor there is nothing to draw."""
    records = [timed("scan", 0.002, against="peer"), timed("scan", 0.005, passes="both"), timed("tree", 0.004)]
    with canvas.style("x"):
        drawing = floors.draw(records, ())
    axes = drawing.figure.axes[0]
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == [pytest.approx(n) for n in (2, 5, 4)]
    assert [3.0] in [[pytest.approx(x) for x in line.get_xdata()] for line in axes.lines]
    labels = ["scan", "2x3, float32, forward", "2x3, float32, both", "tree", "2x3, float32, forward"]
    assert [label.get_text() for label in axes.get_yticklabels()] == labels
    assert drawing.inputs == {"case": "scan, 2x3, float32, both", "times": "5.00"}
    assert floors.draw([], ()) is None


def test_an_operator_stands_there_at_the_size_with_most_peers(timed):
    """Among others the one with most work; its definition is no peer."""
    records = [
        timed("scan", 0.009, against="reference"),
        timed("scan", 0.009, against="reference", case="4x3", floor=2e-3),
        timed("scan", 0.009, against="peer", case="2x9"),
    ]
    for seen, case in ((records, "2x9"), (records[:2], "4x3")):
        with canvas.style("x"):
            axes = floors.draw(seen, ()).figure.axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["scan", f"{case}, float32, forward"]


def _sides(table):
    return [row.reproduced for row in table], [row.sound for row in table]


def test_dots_prefer_what_was_measured_to_what_was_predicted(stated, found):
    """The stronger evidence is drawn and named."""
    base = {"quantity": "peak", "protocol": "sound"}
    predicted = found(stated("d/predicted[x]", beside="d/peak", **base), 7, scope=Scope.PREDICTED)
    measured = found(stated("d/peak[x]", **base), 6)
    with canvas.style("x"):
        drawing = dots.draw([predicted, measured], ["d/peak"])
    assert drawing.inputs == {"unit": "GiB", "gap": "0.200", "case": "x"}
    assert drawing.sources == (("measured", "NVIDIA H100 80GB HBM3"),)


def test_evidence_of_another_quantity_is_not_drawn_in_the_row(stated, found):
    """A sum of printed figures is no peak."""
    other = found(stated("d/sum[x]", beside="d/peak", quantity="result", protocol="sound"), 9)
    (row,) = rows([found(stated("d/peak[x]", quantity="peak"), 6), other], "d/peak")
    assert row.sound == ()


def test_bars_by_kind_have_the_records_bytes(stated, found):
    """Each kind begins where the one before it ends."""
    record = found(stated("d/peak[x]", protocol="sound"), 4, method={"how": {"by_kind": BY_KIND}})
    with canvas.style("x"):
        drawing = kinds.draw([record], ["d/peak"])
    bars = [(bar.get_x(), bar.get_width()) for bar in drawing.figure.axes[0].patches]
    assert bars == [(0, 2), (2, 1), (3, 1)]
    assert drawing.inputs == {"share": "50.0 %", "kind": "parameters", "case": "x"}


def test_bars_by_kind_need_a_record_that_tells_the_kinds_apart(stated, found):
    """A peak alone is no bar."""
    assert kinds.draw([found(stated("d/peak[x]", protocol="sound"), 4)], ["d/peak"]) is None


def test_curves_show_the_points_above_the_baseline(committed):
    """The slope was fitted to what is drawn."""
    with canvas.style("x"):
        drawing = scaling.draw(committed, ["phase7_vs_phase8/phase8_time"])
    (record,) = (r for r in evidence.chosen(committed) if r.claim.id == "phase7_vs_phase8/phase8_time")
    drawn = next(line for line in drawing.figure.axes[0].lines if line.get_label() == "phase8_maximum")
    assert list(drawn.get_xdata()) == record.claim.given["tokens"]
    assert list(drawn.get_ydata()) == pytest.approx([1e3 * seconds for seconds in record.measurement.samples])


def test_a_fitted_line_has_the_measured_slope(committed):
    """From one size to its double it grows by two to the slope."""
    (record,) = (r for r in evidence.chosen(committed) if r.claim.id == "phase7_vs_phase8/phase7_time")
    (series,) = scaling._series([record], 1e-3)
    line = series.line(float(record.measurement.value))
    assert line[1] / line[0] == pytest.approx(2**record.measurement.value)


def test_the_ladder_tells_each_change_from_the_baseline(steps):
    """Bars are measured, marks documented, and both columns relative to the first step."""
    with canvas.style("x"):
        drawing = ladder.draw(steps, ["phase1_vram/peak"])
    axes = drawing.figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [400, 220, 90]
    assert list(axes.lines[0].get_xdata()) == [400, 200, 100]
    assert drawing.inputs == {"case": "half", "told": "−50.0 %", "found": "−45.0 %"}
    assert [text.get_text() for text in axes.texts if "%" in text.get_text()] == [
        "0.0 %", "−50.0 %", "−75.0 %", "0.0 %", "−45.0 %", "−77.5 %",
    ]  # fmt: skip


def test_a_ladder_needs_three_steps(steps):
    """Two values are a sentence, not a picture."""
    two = [record for record in steps if record.claim.case != "least"]
    assert ladder.draw(two, ["phase1_vram/peak"]) is None


def test_labels_are_spread_and_keep_their_order():
    """No two labels are nearer than the gap."""
    places = canvas.spread([0.5, 0.1, 0.52, 0.51], 0.1)
    assert places[0] < places[3] < places[2]
    ordered = sorted(places)
    assert min(b - a for a, b in pairwise(ordered)) >= 0.1 - 1e-9


def test_the_same_records_give_the_same_bytes_in_another_process(committed, pictures):
    """Whatever the hash seed, the clock and the time zone."""
    code = (
        "import hashlib\nfrom pathlib import Path\nfrom muse.config import load_settings\n"
        "from muse.reporting import plots\nfrom muse.reporting.words import load, searched\n"
        "from muse.store import files\nfrom muse.verify import open_ledger\n"
        f"settings = load_settings(Path({str(ROOT)!r}))\n"
        "records = files.read_all(settings.path('results'))\n"
        "figures = [figure for one in open_ledger(settings).documents.values() for figure in one.figures]\n"
        "words = [load(lang, searched(settings.path('reports'))) for lang in ('en', 'ja')]\n"
        "for p in plots.draw(records, figures, words): print(hashlib.sha256(p.svg.encode() + p.pdf).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    mine = [hashlib.sha256(p.svg.encode() + p.pdf).hexdigest() for p in pictures.values()]
    assert done.stdout.split() == mine


@pytest.mark.parametrize("name", DRAWN)
def test_an_svg_is_xml_that_names_itself_and_refers_to_nothing_outside(pictures, name):
    """Every reference is to an id of its own, so that several fit on one page."""
    picture = pictures[f"phase7_vs_phase8-{name}"]
    root = ET.fromstring(picture.svg)
    assert root.find(f"{SVG}desc").text == picture.caption("en")
    assert root.get("aria-labelledby") == root.find(f"{SVG}title").get("id")
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(one.startswith(picture.name) for one in ids)
    used = re.findall(r'(?:href="|url\()([^")]*)', picture.svg)
    assert {one.removeprefix("#") for one in used} <= set(ids)
    assert "<!DOCTYPE" not in picture.svg


def test_the_ink_of_an_svg_is_that_of_its_page(pictures):
    """Black on white in print, light on dark at night."""
    for picture in pictures.values():
        assert canvas.INK not in picture.svg
        assert "currentColor" in picture.svg
        assert "prefers-color-scheme:dark" in picture.svg


def test_a_pdf_carries_no_time_and_no_program(pictures):
    """Nothing that changes without the records."""
    for picture in pictures.values():
        assert picture.pdf.startswith(b"%PDF")
        assert b"CreationDate" not in picture.pdf
        assert b"matplotlib" not in picture.pdf.lower()


def test_every_picture_has_a_caption_in_every_language(pictures):
    """It says where the evidence was taken, each in its own words."""
    for picture in pictures.values():
        assert picture.captions.keys() == {"en", "ja"}
        assert len(set(picture.captions.values())) == 2
        assert all("H100" in text or "GPU" in text for text in picture.captions.values())


def test_a_miss_stands_where_its_two_peaks_put_it(stated, found):
    """In percent of what was measured, over that; a record without both peaks is left out."""
    peaks = {"exact": (GIB, GIB), "above": (3 * GIB, 2 * GIB)}
    told = [
        replace(found(stated(f"d/miss[{case}]"), 0.0), measurement=certain(0, Scope.MEASURED, predicted=p, measured=m))
        for case, (p, m) in peaks.items()
    ]
    with canvas.style("test"):
        drawing = misses.draw([*told, found(stated("d/miss[other]"), 0.0)], ["d/miss"])
    [points] = [line.get_xydata().tolist() for line in drawing.figure.axes[0].lines if line.get_marker() == "o"]
    assert sorted(points) == [[1, 0], [2, 50]]
    assert drawing.inputs == {"count": "2", "exact": "1", "miss": "+50 %", "case": "above"}
    assert misses.draw([], ["d/miss"]) is None


def test_the_caption_says_what_to_see(pictures):
    """The figures are computed from the records."""
    assert "0.00945 GiB at maximum-phase7" in pictures["phase7_vs_phase8-activation"].caption("en")
    assert "phase8_maximum: 0.98 [0.97, 0.99]" in pictures["phase7_vs_phase8-time"].caption("en")


def test_matplotlib_loads_only_when_something_is_drawn():
    """Listing claims stays fast."""
    code = "import sys, muse.reporting.plots\nassert not {'matplotlib', 'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
