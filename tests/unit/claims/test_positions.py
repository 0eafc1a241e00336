"""YAML is read with the line of every value and the digits of every number."""

from decimal import Decimal

import pytest

from muse.claims.positions import read


@pytest.fixture
def page(tmp_path):
    """Reads a text as one YAML file."""

    def of(text: str):
        file = tmp_path / "page.yaml"
        file.write_text(text)
        return read(file)

    return of


def test_a_number_keeps_its_printed_zero(page):
    """5.80 stays 5.80, for its last place says how it was rounded."""
    assert str(page("a: 5.80").data["a"]) == "5.80"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-7", -7),
        ("1_000", 1000),
        ("1_000.50", Decimal("1000.50")),
        ("true", True),
        ("no", False),
        ("null", None),
        ("~", None),
        ("'12'", "12"),
        ("word", "word"),
        ("2025-11-22", "2025-11-22"),
        ("[1, 2.0]", [1, Decimal("2.0")]),
    ],
)
def test_a_scalar_becomes_plain_data(page, text, value):
    """Whole numbers are int, others Decimal, and everything that is not a number, truth or nothing is text."""
    found = page(f"a: {text}").data["a"]
    assert (found, type(found)) == (value, type(value))


def test_every_value_knows_its_line(page):
    """A key, a value inside it and an item of a list each have their own line."""
    found = page("a:\n  b: 1\n  c:\n    - 2\n    - 3\n")
    assert [found.line(place) for place in [("a",), ("a", "b"), ("a", "c"), ("a", "c", 1)]] == [1, 2, 3, 5]


def test_an_absent_place_has_the_line_of_what_is_around_it(page):
    """A missing key is reported where it was expected."""
    assert page("x: 0\na:\n  b: 1\n").line(("a", "missing", "deeper")) == 2


def test_a_duplicate_key_is_a_fault_at_its_second_line(page):
    """YAML would keep the last one in silence."""
    assert page("a: 1\nb: 2\na: 3\n").faults == [(3, "duplicate key 'a', expected each name once")]


def test_text_that_is_not_yaml_is_a_fault_with_its_line(page):
    """The line is the one that the parser stopped at."""
    [(line, told)] = page("a: 1\nb: [1, 2\nc: 3\n").faults
    assert (line, told.startswith("bad YAML: ")) == (3, True)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".nan", "0x1F", "1:30", "1:30.5", "!!float abc", "!!int ''"])
def test_a_number_without_plain_decimal_digits_is_a_fault(page, text):
    """Infinities, other bases and base-60 times are not numbers of a document."""
    [(line, told)] = page(f"\na: {text}").faults
    assert (line, told.startswith("bad number ")) == (2, True)


def test_an_alias_that_contains_itself_is_a_fault(page):
    """It would be read forever."""
    assert page("a: &x\n  - *x\n").faults == [(1, "bad YAML: an alias contains itself")]


def test_a_tag_never_names_code(page):
    """A tag that would call Python leaves plain text."""
    assert page("a: !!python/object/apply:os.getcwd ''").data == {"a": ""}


def test_bytes_that_are_not_text_are_a_fault(tmp_path):
    """A file in another encoding is reported, not raised."""
    file = tmp_path / "page.yaml"
    file.write_bytes(b"a: \xff\xfe")
    [(line, told)] = read(file).faults
    assert (line, told.startswith("bad YAML: ")) == (1, True)


def test_an_empty_file_is_nothing(page):
    """Nothing is not a fault of the YAML; what expects something will say so."""
    assert (page("").data, page("").faults) == (None, [])
