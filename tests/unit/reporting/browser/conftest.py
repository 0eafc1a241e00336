"""A real browser, and the pages that it opens."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from muse.claims.claim import Expect, Scope, Status
from muse.reporting import view
from muse.reporting.render import render
from muse.reporting.words import SHIPPED, Words, languages, load, searched
from tests.unit.reporting.conftest import make_claim as stated
from tests.unit.reporting.conftest import make_record as found

HOSTILE = """</script><img src="x" onerror="alert(1)"> & <b>'5 %'</b>"""
REPORTS = Path(__file__).parents[4] / "reports"
PATIENCE_MS = 10_000
WITHOUT_GPU = {"machine": "cpu-x86-64", "gpu": None}


@pytest.fixture(scope="module")
def browser():
    """Chromium of this machine, without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """`visit(path, anchor, **context)` opens a page, which must log nothing, fail nothing and ask for files alone."""
    contexts, told = [], []

    def visit(path, anchor="", **context):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("requestfailed", lambda request: told.append(f"failed: {request.url}"))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or told.append(request.url))
        page.goto(path.as_uri() + anchor)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert told == []


def small_records():
    """Two documents with every verdict, both procedures, a prediction, an interval and hostile text."""
    peak = {"quote": "ピークメモリは 5.80 GB である。"}
    sound = {"beside": "d/peak", "protocol": "sound", "documented": None, "expect": Expect(at_most=Decimal(5))}
    order = {"unit": "order", "protocol": "sound", "documented": Decimal(1), "expect": Expect(at_most=Decimal("1.1"))}
    return [
        found(stated("d/peak[Max]", **peak), 5.811, method={"samples": (5, 6, 7), "how": {"warm-ups": 3}}),
        found(stated("d/peak[Deep]", documented=Decimal("0.58")), 0.5811, fingerprint="old"),
        found(stated("d/fits[Max]", says="It fits.", cause="It did not.", recorded=Status.REFUTED, **sound), 6.2),
        found(stated("d/cast[Max]", says="A prediction.", beside="d/peak"), 5.9, scope=Scope.PREDICTED),
        found(stated("d/slope", section="Speed", **order), 1.04, low=0.97, high=1.12),
        found(stated("d/hard", says=HOSTILE, quote=HOSTILE, cause=HOSTILE, recorded=Status.REFUTED), 9.0),
        found(
            stated("e/count", unit="count", documented=Decimal(216384)),
            216384,
            scope=Scope.EXACT,
            provenance=WITHOUT_GPU,
        ),
        found(stated("e/unknown", unit="percent", documented=Decimal("84.8"))),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a small report in both languages; its Japanese sentences say so and stay English."""
    folder, records = tmp_path_factory.mktemp("site"), small_records()
    claims = [record.claim for record in records]
    prose = [text for claim in claims for text in (claim.says, claim.cause, claim.section) if text]
    japanese = Words("ja", SHIPPED / "messages/ja.yaml", load("ja").messages, {text: f"{text}和訳。" for text in prose})
    drawn = [view.Picture("d-peak", "Peaks.", '<svg viewBox="0 0 9 9"><path d="M0 0 9 9"/></svg>')]
    for words in (load(), japanese):
        built = view.build(records, lambda r: r.fingerprint == "old", {}, words, pictures=drawn, languages=languages())
        for name, text in render(built, searched(REPORTS)).items():
            path = folder / words.lang / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(params=["en", "ja"])
def small(request, site):
    """The small page in each language."""
    return site / request.param / "report.html"


@pytest.fixture(params=["small/en", "small/ja", "committed/en", "committed/ja"])
def path(request, site):
    """Each page in turn: a small one and the committed one, in each language."""
    kind, lang = request.param.split("/")
    path = (site if kind == "small" else REPORTS) / lang / "report.html"
    if not path.exists():
        pytest.skip(f"no committed report in {lang}")
    return path
