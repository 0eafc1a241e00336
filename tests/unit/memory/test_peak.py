"""A measurement beside others is stopped where it breaks its promise, and told apart where the card breaks its own."""

import pytest
import torch

from muse.errors import Unmeasured
from muse.memory.peak import within

TOTAL, PROMISED, TAKEN = 1000, 400, 250


@pytest.mark.parametrize(("free", "reason"), [(150, "outgrew_admission"), (149, "card_full")])
def test_who_broke_the_promise_is_told(monkeypatch, free, reason):
    """With 150 bytes still promised, one byte less on the card is not the measurement's fault."""
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", lambda _: None)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (free, TOTAL))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: TAKEN)

    def grow():
        raise torch.cuda.OutOfMemoryError

    with pytest.raises(Unmeasured) as caught:
        within(PROMISED, grow)
    assert caught.value.reason == reason
