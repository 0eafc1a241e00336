"""What holds on every page in a real browser: filters, order, details, addresses, and how it looks."""

import re

READABLE = 4.5
"""The contrast that text of normal size needs, by WCAG 2 AA."""

ROWS = """[...document.querySelectorAll("tbody.row")].map((row) => ({
  id: row.id, shown: row.checkVisibility(), document: [row.dataset.document],
  tags: row.dataset.tags.split(" "), scopes: row.dataset.scopes.split(" "), machines: row.dataset.machines.split(" "),
  cells: [...row.rows[0].cells].map((cell) => [cell.dataset.of ?? "", Number(cell.dataset.key)]),
}))"""
CONTROLS = (
    """[...document.querySelectorAll(".bar, .bar *, .toggle, .copy")].filter((one) => one.checkVisibility()).length"""
)
COLUMNS = {"documented": 1, "reproduced": 2, "sound": 3}
SEVERITY = ["refuted", "inconclusive", "unmeasured", "confirmed"]
SELECTS = {"document": "document", "scope": "scopes", "machine": "machines"}
FEW = 6
"""How many rows are opened where all would take a second."""

CONTRASTS = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return parts(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Map();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const hidden = !element.checkVisibility({ opacityProperty: true }) || element.matches("svg *, option");
    if (hidden || !texts.currentNode.data.trim()) continue;
    const contrast = ratio(light(getComputedStyle(element).color), light(behind(element)));
    const name = `${element.localName}.${element.className}`;
    found.set(name, Math.min(found.get(name) ?? Infinity, contrast * getComputedStyle(element).opacity));
  }
  return Object.fromEntries(found);
}"""


def rows(page):
    """Every row of the page with its data, in the order of the page."""
    return page.evaluate(ROWS)


def click(page, selector):
    """Click what the script listens to, without the seconds that a mouse takes to reach it on a long page."""
    page.locator(selector).evaluate("one => one.click()")


def open_few(page):
    """Open every fold and the first rows."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.evaluate(f"[...document.querySelectorAll('.toggle')].slice(0, {FEW}).forEach((one) => one.click())")


def assert_shown(page, attribute, value):
    """Exactly the rows whose data holds `value` are shown, and the page tells their number, which is returned."""
    every = rows(page)
    shown = [row["id"] for row in every if row["shown"]]
    assert shown == [row["id"] for row in every if value in row[attribute]]
    told = [int(number) for number in re.findall(r"\d+", page.locator("#count").text_content())]
    assert sorted(told) == [len(shown), len(every)]
    return len(shown)


def test_a_verdict_shows_exactly_its_rows(visit, path):
    """As many as its chip says."""
    page = visit(path)
    for tag in page.locator(".chip").evaluate_all("all => all.slice(1).map(one => one.dataset.tag)"):
        chip = f".chip[data-tag='{tag}']"
        click(page, chip)
        assert assert_shown(page, "tags", tag) == int(page.locator(f"{chip} b").text_content())
        assert page.locator(".chip[aria-pressed=true]").get_attribute("data-tag") == tag


def test_a_choice_shows_exactly_its_rows(visit, small):
    """Each document, scope and machine."""
    page = visit(small)
    for select, attribute in SELECTS.items():
        for value in page.locator(f"#{select} option").evaluate_all("all => all.slice(1).map(one => one.value)"):
            page.select_option(f"#{select}", value)
            assert_shown(page, attribute, value)
        page.select_option(f"#{select}", "")


def test_numbers_are_sorted_up_and_then_down(visit, path):
    """In each column numbers of one dimension stay together, and rows without a number come last."""
    page = visit(path)
    for name, column in COLUMNS.items():
        for direction, sign in (("ascending", 1), ("descending", -1)):
            click(page, f"th[data-sort={name}] button")
            assert page.locator("th[data-sort]:not([aria-sort=none])").get_attribute("aria-sort") == direction
            cells = [row["cells"][column] for row in rows(page)]
            assert cells == sorted(cells, key=lambda cell: (not cell[0], cell[0], sign * (cell[1] or 0)))


def test_the_worst_verdicts_come_first_and_then_last(visit, small):
    """Sorting by verdict starts with what was refuted."""
    page = visit(small)
    for sign in (1, -1):
        click(page, "th[data-sort=verdict] button")
        ranks = [sign * SEVERITY.index(row["tags"][0]) for row in rows(page)]
        assert ranks == sorted(ranks)


def test_sorting_by_sentence_brings_back_the_order_of_the_documents(visit, small):
    """With its headings, which mean nothing in any other order."""
    page = visit(small)
    headings = "document.querySelectorAll('tbody.heading:not([hidden])').length"
    first = rows(page), page.evaluate(headings)
    click(page, "th[data-sort=documented] button")
    assert page.evaluate(headings) == 0
    click(page, "th[data-sort=sentence] button")
    assert (rows(page), page.evaluate(headings)) == first


def test_every_claim_has_its_evidence_in_an_opened_row(visit, path):
    """Each claim once, with facts, the command that repeats it, and no id twice."""
    page = visit(path)
    click(page, "#expand")
    claims = page.evaluate("""Object.values(JSON.parse(document.getElementById("details").textContent).rows)
      .flatMap(([, , cells]) => cells.map((cell) => cell[1]))""")
    shown = page.evaluate("""[...document.querySelectorAll("article.evidence")].map((one) =>
      [one.dataset.claim, one.querySelector("pre code").textContent])""")
    assert sorted(shown) == sorted([claim, f"muse verify '{claim}'"] for claim in claims)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_the_address_of_a_hidden_row_opens_and_shows_it(visit, path):
    """Filters that hide it are let go."""
    page = visit(path)
    page.locator("#search").fill("no row says this")
    last = rows(page)[-1]["id"]
    assert page.locator("#nothing").is_visible()
    page.evaluate("(id) => { location.hash = id; }", last)
    page.wait_for_function("(id) => document.getElementById(id).matches('.open.marked')", arg=last)
    line = page.locator(f"[id='{last}'] .line").bounding_box()
    assert page.locator(".bar").bounding_box()["height"] <= line["y"] < 900
    assert all(row["shown"] for row in rows(page))


def test_all_text_is_readable(visit, path):
    """By day and by night every visible text stands out from what is behind it."""
    page = visit(path)
    open_few(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 20
        assert {text: ratio for text, ratio in contrasts.items() if ratio < READABLE} == {}


def test_nothing_is_wider_than_a_phone(visit, path):
    """What is too wide scrolls in its own frame; a value never reaches beyond its card."""
    page = visit(path, viewport={"width": 420, "height": 900})
    open_few(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 420
    beyond = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.outerHTML)"
    assert page.locator("tbody.row :is(td, article)").evaluate_all(beyond) == []


def test_paper_shows_every_row_and_no_control(visit, small):
    """What cannot be clicked is not printed."""
    page = visit(small)
    page.emulate_media(media="print")
    assert all(row["shown"] for row in rows(page))
    assert page.evaluate(CONTROLS) == 0


def test_without_scripts_every_row_is_there_and_no_control(visit, small):
    """And a note says where the details are."""
    page = visit(small, java_script_enabled=False)
    assert all(row["shown"] for row in rows(page))
    assert page.evaluate(CONTROLS) == 0
    assert page.locator("noscript a[href='README.md']").is_visible()
