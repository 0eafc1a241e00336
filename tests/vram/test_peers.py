"""Every peer computes what an operator is compared with, at the size of the comparison.

Nothing here runs on a CPU: the peers' kernels are for GPUs alone.
"""

from pathlib import Path

import pytest
import torch

from muse import machine
from muse.config import load_settings
from muse.errors import Unmeasured
from muse.memory.isolate import isolate
from muse.probes import tuned
from muse.probes.operator import subject
from muse.probes.operators import operator
from muse.probes.peers import PEERS
from muse.verify import open_ledger

pytestmark = pytest.mark.gpu


def compared():
    """The peers of all claims, once each."""
    claims = open_ledger(load_settings(Path(__file__).parents[2])).claims
    rivals = {(subject(c), c.given.get("against")) for c in claims if c.probe == "operator"}
    return sorted((mine.against(who) for mine, who in rivals if who in PEERS.get(mine.operator, {})), key=str)


@pytest.mark.parametrize("what", compared(), ids=lambda what: f"{what.operator}-{what.who}-{what.case}")
def test_a_peer_agrees_with_its_truth(settings, what):
    """Forward, and backward where the claim times both. What this compiles, the timings need not wait for."""
    since = tuned.recall(settings)
    with machine.lease(exclusive=False), machine.admission(operator(what.operator).needs):
        try:
            device, environment = torch.device("cuda"), settings.environment
            isolate(what.require_agreement, device, environment=environment, timeout=settings.timeout)
        except Unmeasured as error:
            if error.reason != "no_peer":
                raise
            pytest.skip(str(error))
        finally:
            tuned.forget(since)
