"""A peer computes what it is compared for."""

import sys

import pytest
import torch

from muse.probes.given import HOMES
from muse.probes.operators import operator as named
from muse.probes.operators import sized
from muse.probes.peers import PEERS, peer


@pytest.mark.parametrize(
    ("operator_name", "who", "case"),
    [
        ("linear_scan", "cumsum", lambda cases: cases.case(2, 3, 8, decay=False)),
        ("low_rank_ffn", "dense", lambda cases: cases.case(8, 16, 4)),
        ("tensor_train", "embedding", lambda cases: cases.case(8, 30, 12, 3)),
        ("tensor_train_logits", "dense", lambda cases: cases.logits(8, 30, 12, 3)),
    ],
)
def test_pytorchs_own_peers_agree(operator_name, who, case):
    """With what each of them must compute, forward and backward."""
    mine, other = named(operator_name), peer(operator_name, who)
    cases = sys.modules[f"kernels.{HOMES.get(operator_name, operator_name)}.cases"]
    inputs = case(cases).make_inputs("cpu", torch.float32, 0)
    other.require_agreement(who, other.arrange(inputs, mine.definition), mine.definition, backward=True)


@pytest.mark.parametrize("causal", [False, True])
def test_flex_attention_computes_the_hyperbolic_score(causal):
    """By PyTorch's own attention with a score of ours, which PyTorch does not differentiate by beta."""
    mine, other = named("hyperbolic_attention"), peer("hyperbolic_attention", "flex")
    case = sys.modules["kernels.hyperbolic_attention.cases"].case(2, 2, 32, 16, causal=causal)
    other.require_agreement("flex", case.make_inputs("cpu", torch.float32, 0), mine.definition, backward=False)


def test_cusparse_is_checked_against_a_banded_solve():
    """Which solves the same systems that the resolvent is of."""
    mine, other = named("bk_core"), PEERS["bk_core"]["cusparse"]
    inputs = sized("bk_core", 9, rows=2).make_inputs("cpu", torch.float32, 0)
    arguments = {name: x.to(torch.complex128) for name, x in other.arrange(inputs, mine.definition).items()}
    found = other.truth(**arguments)
    matrix = torch.diag_embed(arguments["middle"])
    matrix = matrix + torch.diag_embed(inputs["b"] + 0j, 1) + torch.diag_embed(inputs["c"] + 0j, -1)
    assert torch.allclose((matrix @ found[..., None])[..., 0], torch.ones_like(found))
