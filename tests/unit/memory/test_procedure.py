"""The documents' procedure takes the steps that its docstring lists, in their order."""

import re
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from muse.memory import procedure
from muse.memory.workload import Workload

STEPS = {
    1: ["clean", "empty", "reset"],
    2: ["load", "allocated"],
    3: ["ids"],
    4: ["empty", "reset"],
    5: ["autocast on", "forward", "autocast off"],
    6: ["backward"],
    7: ["peak"],
}
"""What each numbered step of the docstring is to a meter and a model; the last one is what follows from leaving."""


class Head(nn.Module):
    """A table that tells when it is looked up and when its gradient arrives."""

    def __init__(self, note) -> None:
        super().__init__()
        note("load")
        self.table = nn.Embedding(16, 8)
        self.note = note

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.note("forward")
        out = self.table(ids)
        out.register_hook(lambda _: self.note("backward"))
        return out


class Meter:
    """Notes what it is asked."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.notes = []

    def __getattr__(self, name):
        return lambda *_: self.notes.append(name) or 0

    @contextmanager
    def casting(self, _):
        """Autocast, as far as the notes are concerned."""
        self.notes.append("autocast on")
        yield
        self.notes.append("autocast off")


@pytest.fixture
def taken(monkeypatch):
    """The steps taken for two models, the peak reset as told."""

    def of(reset):
        meter = Meter()
        real = Workload.ids
        monkeypatch.setattr(Workload, "ids", lambda self, device: meter.notes.append("ids") or real(self, device))
        what = Workload(
            lambda: Head(meter.notes.append), 16, 4, dtype="float32", train=True, optimizer="none", loss="sum"
        )
        list(procedure.documented([what, what], reset, meter))
        return [note for note in meter.notes if note != "follow"]

    return of


def steps(*numbers):
    """Return the notes of these steps; before the peak is read, the GPU has finished."""
    return [note for number in numbers for note in (["clean"] if number == 7 else []) + STEPS[number]]


def test_every_numbered_step_of_the_docstring_is_one_of_these():
    """And after the last the model, the ids, the logits and the loss are dropped."""
    text = procedure.documented.__doc__
    numbers = [int(n) for n in re.findall(r"^\s+(\d)\. ", text, re.MULTILINE)]
    assert numbers == [*STEPS, 8]
    words = ("empty the cache, reset the peak", "load the model", "draw the ids", "after loading: empty the cache")
    places = [
        text.index(word) for word in (*words, "under autocast", "outside autocast: sum", "`peak` is", "drop model")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(("reset", "left_out"), [("after_loading", ()), ("before_loading", (4,))])
def test_the_steps_are_taken_in_their_order_for_every_model(taken, reset, left_out):
    """The second one begins where the first has ended; only the reset after loading depends on the document."""
    once = steps(*(number for number in STEPS if number not in left_out))
    assert taken(reset) == once + once
