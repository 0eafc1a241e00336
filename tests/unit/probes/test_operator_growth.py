"""How time and memory of an operator grow, and how long decoding takes: real calls, made-up times."""

import pytest
import torch

from muse.probes import decoding_time, operator_memory_growth
from muse.probes import operator_time_growth as time_growth
from muse.probes.timing import ROUNDS

LENGTHS = [512, 1024, 2048, 4096, 8192, 16384]


@pytest.mark.parametrize("order", [1, 2])
def test_time_and_memory_of_an_operator_have_slopes(ask, monkeypatch, order):
    """Above the time at a handful of tokens."""

    def seconds(n):
        return 1e-5 + 1e-6 * (int(n) - time_growth.BASELINE) ** order

    monkeypatch.setattr(time_growth, "times", lambda calls, *_, **__: {n: [seconds(n)] * ROUNDS for n in calls})
    monkeypatch.setitem(time_growth.ROWS, "bk_core", 1)

    def isolated(_, calls, *__, **___):
        assert all(callable(prepare(torch.device("cpu"))) for prepare in calls)
        return [prepare.args[1] ** order for prepare in calls]

    monkeypatch.setattr(operator_memory_growth, "isolate", isolated)
    given = {"operator": "bk_core", "lengths": LENGTHS}
    assert ask("operator_time_growth", "slope", "order", **given).value == pytest.approx(order, abs=0.05)
    assert ask("operator_memory_growth", "slope", "order", **given).value == pytest.approx(order)


def test_a_decoding_step_is_told_in_copies_of_its_state(ask, monkeypatch):
    """Both are real calls; their times are made up."""

    def seconds(calls, bench, way):
        assert way == "replayed"
        (out, (sums, _)), copied = (calls[name](torch.device("cpu"))() for name in ("step", "copy"))
        assert (out.shape, sums.shape, copied.shape) == ((2, 3, 1, 4), (2, 3, 4, 4), (2, 3, 4, 5))
        return {"step": [3e-5] * ROUNDS, "copy": [2e-5] * ROUNDS}

    monkeypatch.setattr(decoding_time, "times", seconds)
    assert ask("decoding_time", "cost", "times", sequences=2, heads=3, width=4).value == pytest.approx(1.5)


@pytest.mark.parametrize("name", time_growth.LONG_ROWS)
def test_of_long_sequences_there_are_fewer_at_once(ask, monkeypatch, name):
    """At a million tokens as many as at 16,384 would not fit."""
    rows = []

    def seconds(calls, *_, **__):
        rows.append({call.args[2] for call in calls.values()})
        return {n: [1e-5 + 1e-6 * int(n)] * ROUNDS for n in calls}

    monkeypatch.setattr(time_growth, "times", seconds)
    for lengths in (LENGTHS, [64 * n for n in LENGTHS]):
        ask("operator_time_growth", "slope", "order", operator=name, lengths=lengths)
    assert rows == [{time_growth.ROWS[name]}, {time_growth.LONG_ROWS[name]}]


@pytest.mark.parametrize("name", time_growth.ROWS)
def test_an_operator_is_called_at_any_length(name):
    """One pass without gradients."""
    out = time_growth.call(name, 5, 2, torch.device("cpu"))()
    assert 5 in out.shape
    assert not out.requires_grad
