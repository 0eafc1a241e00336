"""A timing has all its rounds, whoever counts them."""

from types import SimpleNamespace

from muse.probes.bench import plain_rounds
from muse.pytest_plugin import _rounds


def test_where_pytest_benchmark_would_call_but_once_the_rounds_are_counted_without_it():
    """Under xdist it is disabled, and a timing on a GPU of its own is not."""
    assert _rounds(SimpleNamespace(disabled=True)) is plain_rounds
    calls = []
    used = SimpleNamespace(disabled=False, pedantic=lambda _, **how: calls.append(how))
    _rounds(used)(lambda: None, 12)
    assert calls == [{"rounds": 12, "iterations": 1}]
