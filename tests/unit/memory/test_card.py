"""The GPU cards that predictions know, and those of a file."""

import pytest
import torch
import yaml

from muse import machine
from muse.errors import Unmeasured, UsageError
from muse.memory.card import KNOWN, card, cards, of_driver, this_card

MINE = {
    "capability": [8, 6],
    "multiprocessors": 28,
    "threads_per_multiprocessor": 1536,
    "shared_memory": 101376,
    "memory": 12_884_901_888,
    "l2": 2_359_296,
    "workspace": 8_519_680,
    "source": "read from the card",
}


@pytest.fixture
def written(tmp_path):
    """Writes a card's file, the facts of `MINE` but for changes; None leaves one out."""

    def write(**changes):
        path = tmp_path / "mine.yaml"
        facts = {key: value for key, value in (MINE | changes).items() if value is not None}
        path.write_text(yaml.safe_dump(facts))
        return str(path)

    return write


def refusal(name):
    """What a user is told who asks for the card `name`."""
    with pytest.raises(UsageError) as told:
        card(name)
    return str(told.value)


@pytest.mark.parametrize("name", yaml.safe_load(KNOWN.read_text()))
def test_every_known_card_is_read(name):
    """By its name, with positive figures and their source."""
    assert card(name).name == name
    assert card(name).source


def test_an_h100_has_132_multiprocessors():
    """As PyTorch reads them from the card."""
    assert card("h100").multiprocessors == 132
    assert card("h100").capability == (9, 0)


def test_a_card_is_plain_data():
    """A report can hold it."""
    assert card("h100").facts()["memory"] == card("h100").memory


def test_an_unknown_card_is_refused_with_the_known_ones():
    """In one line."""
    told = refusal("h101")
    assert all(name in told for name in ("'h101'", *cards()))
    assert "\n" not in told


def test_a_card_of_a_file_is_read(written):
    """It is called as the file is."""
    mine = card(written())
    assert mine.name == "mine"
    assert mine.facts() == {"name": "mine", **MINE, "capability": (8, 6), "flash": True}


def test_a_file_may_name_its_card(written):
    """The file's own name then does not matter."""
    assert card(written(name="rtx3060")).name == "rtx3060"


def test_a_negative_figure_is_refused_with_what_is_allowed(written):
    """File, field and the value that was given."""
    path = written(multiprocessors=-1)
    assert refusal(path) == f"{path}: multiprocessors of mine must be a positive integer, not -1"


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("memory", 0, "a positive integer"),
        ("memory", "80 GB", "a positive integer"),
        ("l2", 2.5, "a positive integer"),
        ("workspace", True, "a positive integer"),
        ("capability", 9, "two integers, such as [9, 0]"),
        ("capability", [9], "two integers, such as [9, 0]"),
        ("capability", [9, -1], "two integers, such as [9, 0]"),
        ("source", 3, "a text"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_what_is_allowed(written, field, value, allowed):
    """Nothing is converted."""
    path = written(**{field: value})
    assert refusal(path) == f"{path}: {field} of mine must be {allowed}, not {value!r}"


@pytest.mark.parametrize("field", MINE)
def test_a_missing_field_is_named_beside_those_that_a_card_has(written, field):
    """Every one is needed."""
    path = written(**{field: None})
    told = refusal(path)
    assert told.startswith(f"{path}: mine lacks {field!r}; a card has capability, ")
    assert "\n" not in told


def test_an_unknown_field_is_named_beside_those_that_a_card_has(written):
    """A slip of the pen changes nothing silently."""
    path = written(multiprocesors=28)
    told = refusal(path)
    assert told.startswith(f"{path}: mine has no 'multiprocesors'; a card has capability, ")
    assert "\n" not in told


@pytest.mark.parametrize("text", ["{", "\x00", "a: [1", "\t- x"])
def test_a_file_that_is_not_yaml_is_refused_in_one_line(tmp_path, text):
    """It is named."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    told = refusal(str(path))
    assert told.startswith(f"{path}: no card can be read from it: ")
    assert "\n" not in told


@pytest.mark.parametrize("text", ["", "- 1\n", "h100\n"])
def test_a_file_that_holds_no_mapping_is_refused_with_what_it_needs(tmp_path, text):
    """An empty one, too."""
    path = tmp_path / "mine.yml"
    path.write_text(text)
    assert refusal(str(path)).startswith(f"{path}: expected a mapping with capability, ")


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path):
    """It is named."""
    told = refusal(str(tmp_path / "none.yaml"))
    assert told.startswith(f"{tmp_path / 'none.yaml'}: no card can be read from it: ")
    assert "\n" not in told


def test_a_file_that_is_not_text_is_refused_in_one_line(tmp_path):
    """It is named."""
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    assert refusal(str(path)).startswith(f"{path}: no card can be read from it: ")


@pytest.mark.parametrize(("name", "known"), [("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA A100 80GB PCIe", "a100-80gb")])
def test_a_driver_s_name_leads_to_the_known_card(name, known):
    """Each form of the card that the driver tells apart."""
    assert of_driver(name) == card(known)


def test_a_driver_s_unknown_name_leads_to_no_card():
    """Nor does a part of a known one."""
    assert of_driver("NVIDIA H100") is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks what happens where PyTorch cannot use the GPU")
def test_an_unknown_gpu_that_pytorch_cannot_use_is_unmeasured(monkeypatch):
    """In one line, and never by a traceback."""
    monkeypatch.setattr(machine, "gpus", lambda: (machine.Gpu(0, "GPU-aaaa", "Unheard-of", 2**34, ""),))
    with pytest.raises(Unmeasured) as caught:
        this_card()
    assert caught.value.reason == "no_cuda"
    assert "\n" not in str(caught.value)
