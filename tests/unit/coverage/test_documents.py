"""The documents under test, where they are at hand, have no number that nobody has looked at."""

from pathlib import Path

import pytest

from muse.coverage import bindings, document, match

HERE = Path(__file__).parents[3]
DOCUMENTS = HERE.parent / "shared/documents"
LISTED = sorted(HERE.glob("tests/claims/*/numbers.yaml"))


@pytest.fixture(params=LISTED, ids=lambda file: file.parent.name)
def listed(request, real_ledger):
    """The numbers of one document."""
    return bindings.load(request.param, real_ledger)


@pytest.fixture
def source(listed):
    """The document itself; this project's own lie in it, the others beside it."""
    name = bindings.NumbersFile.model_validate(bindings.positions.read(listed.file).data).source
    found = [folder / name for folder in (HERE, DOCUMENTS) if (folder / name).is_file()]
    if not found:
        pytest.skip(f"{name} is not at hand")
    return document.read(found[0])


def test_every_number_of_a_document_is_covered(listed, source):
    """And every binding binds."""
    found = match.cover(source, listed)
    assert [(place.line, place.number.printed) for place in found.uncovered] == []
    assert found.unused == ()


def test_an_altered_digit_of_a_bound_number_is_seen_at_its_line(listed, source):
    """In each bound number of the document."""
    for place in match.cover(source, listed).places:
        if place.claim is None:
            continue
        number, text = place.number, source.text
        at = max(i for i in range(number.start, number.end) if text[i].isdigit())
        other = "³" if text[at] == "²" else str((int(text[at]) + 1) % 10)
        altered = text[:at] + other + text[at + 1 :]
        assert place.line in {
            found.line for found in match.cover(document.parse(source.path, altered), listed).uncovered
        }
