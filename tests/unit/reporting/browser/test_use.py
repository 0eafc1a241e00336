"""A reader with a mouse, a keyboard and a clipboard, on a small page in a real browser."""

# ruff: noqa: RUF001  wide letters are what a Japanese keyboard types
import pytest

from muse.reporting.words import load

HASH = "decodeURIComponent(location.hash)"
GONE = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


def row(page, anchor):
    """The row with the address `anchor`."""
    return page.locator(f"tbody.row[id='{anchor}']")


def is_open(page, anchor):
    """Whether the row's details are to be seen, and its toggle says so."""
    told = row(page, anchor).locator(".toggle").get_attribute("aria-expanded") == "true"
    assert told == row(page, anchor).locator(".more").is_visible()
    return told


@pytest.fixture
def page(visit, site):
    """The English page."""
    return visit(site / "en/report.html")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_an_opened_row_shows_the_whole_evidence(visit, site, lang):
    """The sentence in the document's words, how, how often, where, by what and when; and how to repeat it."""
    page, say = visit(site / lang / "report.html"), load(lang).text
    row(page, "d/peak:Max").locator(".says").click()
    assert is_open(page, "d/peak:Max")
    assert row(page, "d/peak:Max").locator("blockquote[lang=ja]").inner_text() == "ピークメモリは 5.80 GB である。"
    evidence = page.locator("article[data-claim='d/peak[Max]']")
    assert evidence.locator("h4").text_content() == f"{say('protocol.documented')} · {say('scope.measured')}"
    facts = dict(zip(evidence.locator("dt").all_inner_texts(), evidence.locator("dd").all_inner_texts(), strict=True))
    for column, value in {
        "samples": "3",
        "how": "warm-ups 3",
        "machine": "nvidia-h100-80gb-hbm3, NVIDIA H100 80GB HBM3, 560.35.03",
        "torch": "2.13.0+cu128",
        "environment": "python 3.11.2\ntriton 3.5.0",
        "commit": "4f1c2a9be0",
        "date": "2025-11-30 10:15 UTC",
    }.items():
        assert facts[say(f"column.{column}")] == value
    assert evidence.locator("pre code").inner_text() == "muse verify 'd/peak[Max]'"
    row(page, "d/peak:Max").locator(".says").click()
    assert not is_open(page, "d/peak:Max")


def test_hostile_text_is_text(page):
    """Markup in a document's words makes no element, in a row or in its details."""
    row(page, "d/hard").locator(".toggle").click()
    assert page.locator("main :is(img, b b, .says b)").count() == 0
    hostile = '</script><img src="x" onerror="alert(1)"> & <b>\'5 %\'</b>'
    assert hostile in row(page, "d/hard").locator(".says").inner_text()
    assert row(page, "d/hard").locator("blockquote").inner_text() == hostile


def test_a_row_s_link_opens_it_every_time(page):
    """Also where the address is already that of the row."""
    for _ in range(2):
        row(page, "d/slope").hover()
        row(page, "d/slope").locator(".link").click()
        page.wait_for_function("document.querySelector('.marked')?.id === 'd/slope'")
        assert is_open(page, "d/slope")
        row(page, "d/slope").locator(".toggle").click()
        assert not is_open(page, "d/slope")


def test_the_address_of_further_evidence_opens_its_row(visit, site):
    """A claim that stands in another's row has its own address."""
    page = visit(site / "en/report.html", "#d/fits:Max")
    assert is_open(page, "d/peak:Max")
    marked = page.locator(".marked")
    assert marked.get_attribute("data-claim") == "d/fits[Max]"
    assert 0 <= marked.bounding_box()["y"] < 900


def test_a_document_s_link_shows_its_heading_every_time(page):
    """Also where rows are sorted and headings gone."""
    for _ in range(2):
        page.locator("th[data-sort=documented] button").click()
        assert page.locator("tbody#e").is_hidden()
        page.locator(".summary a[href='#e']").click()
        page.locator("tbody#e").wait_for()


def test_the_copy_button_writes_the_claim_s_link(visit, site):
    """The clipboard then holds the page's address with the claim's."""
    path = site / "en/report.html"
    page = visit(path, permissions=["clipboard-read", "clipboard-write"])
    row(page, "d/peak:Max").locator(".toggle").click()
    button = page.locator("article[data-claim='d/fits[Max]'] .copy")
    button.click()
    page.get_by_text(load().text("page.copied")).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == f"{path.as_uri()}#d/fits:Max"


def test_without_a_clipboard_the_link_is_in_the_address(visit, site):
    """And the button says so."""
    page = visit(site / "en/report.html")
    page.evaluate(GONE)
    row(page, "d/peak:Max").locator(".toggle").click()
    page.locator("article[data-claim='d/fits[Max]'] .copy").click()
    page.get_by_text(load().text("page.in_address")).wait_for()
    assert page.evaluate(HASH) == "#d/fits:Max"


def test_the_keyboard_alone_opens_a_row(page):
    """Tab leads from the search to the first row; Enter opens it and closes it, though text be selected."""
    page.locator("#search").focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.toggle')"):
            break
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    page.keyboard.press("Enter")
    assert is_open(page, "d/peak:Max")
    page.keyboard.press("Enter")
    assert not is_open(page, "d/peak:Max")


def test_selecting_a_sentence_opens_nothing(page):
    """Who marks words to copy them does not want the details."""
    says = row(page, "d/slope").locator(".says")
    says.click(click_count=3)
    assert "The forward pass" in page.evaluate("String(getSelection())")
    before = is_open(page, "d/slope")
    says.dispatch_event("click")
    assert is_open(page, "d/slope") == before


def test_the_other_language_opens_at_the_same_claim(visit, site):
    """In both directions."""
    page = visit(site / "en/report.html", "#d/fits:Max")
    for lang in ("ja", "en"):
        page.locator(f"#languages a[hreflang={lang}]").click()
        page.wait_for_url(f"**/{lang}/report.html#d/fits:Max")
        assert page.locator("html").get_attribute("lang") == lang
        assert is_open(page, "d/peak:Max")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("d/slope", ["d/slope"]),
        ("It did not", ["d/peak:Max"]),
        ("ＷＡＲＭ-ups ピーク", ["d/peak:Max"]),
        ("onerror", ["d/hard"]),
    ],
)
def test_the_search_knows_what_closed_rows_hold(page, text, ids):
    """Claims, causes, methods and quotes, in any width and case; every word must be there."""
    page.locator("#search").fill(text)
    assert page.locator("tbody.row:visible").evaluate_all("all => all.map(one => one.id)") == ids


def test_filters_add_up_and_reset_lets_all_go(page):
    """A verdict and a document together; the reset button is there while anything is filtered."""
    assert page.locator("#reset").is_hidden()
    page.locator(".chip[data-tag=confirmed]").click()
    page.select_option("#document", "e")
    assert page.locator("tbody.row:visible").evaluate_all("all => all.map(one => one.id)") == ["e/count"]
    assert page.locator("tbody#d").is_hidden()
    page.locator("#reset").click()
    assert page.locator("tbody.row:visible").count() == page.locator("tbody.row").count()
    assert page.locator("#reset").is_hidden()


def test_where_nothing_fits_the_page_says_so(page):
    """Instead of a table of nothing."""
    page.locator("#search").fill("no row says this")
    assert page.locator("#nothing").is_visible()
    assert page.locator(".claims").is_hidden()


@pytest.mark.parametrize(("width", "shown"), [(1024, True), (1023, False)])
def test_a_narrow_page_has_cards_instead_of_columns(visit, site, width, shown):
    """Then each value carries its column's name."""
    page = visit(site / "en/report.html", viewport={"width": width, "height": 900})
    assert page.locator("th[data-sort=documented] button").is_visible() == shown
    label = "getComputedStyle(document.querySelector('.line td:nth-child(2)'), '::before').content"
    assert (page.evaluate(label) == '"Documented"') == (not shown)


def test_a_figure_s_address_unfolds_the_figures(visit, site):
    """A link from elsewhere shows the picture."""
    page = visit(site / "en/report.html", "#figure-d-peak")
    assert page.locator("#figure-d-peak svg").is_visible()
