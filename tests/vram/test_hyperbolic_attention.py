"""The hyperbolic attention kernel agrees with its definition on a GPU, in memory that grows with N."""

import pytest
import torch

from kernels import hyperbolic_attention, implementation
from kernels.case import excesses
from kernels.hyperbolic_attention import reference
from kernels.hyperbolic_attention.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """On 700 tokens of two heads: the definition holds N M D differences in float64. Forward and every gradient."""
    given = inputs(case, dtype)
    given |= {name: given[name][:1, :2, :700] for name in "qkv"}
    assert implementation(given["q"]) == "triton"
    found = excesses(hyperbolic_attention, reference.hyperbolic_attention, given)
    for name in ("dbeta", "dcurvature"):  # in one number the definition's own error can be small by chance
        assert found.pop(name) <= 8 * case.k
    assert all(ratio <= case.k for ratio in found.values()), found


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_near_pairs_are_added_once_on_a_gpu(inputs, dtype, causal):
    """Keys that equal queries, on the diagonal and 300 tokens off it: fast loops leave them to careful ones."""
    given = inputs(CASES[0], dtype) | {"causal": causal}
    given |= {name: given[name][:1, :2, :700] for name in "qkv"}
    given["k"] = torch.where(
        torch.arange(given["k"].shape[2], device=given["k"].device)[:, None] % 3 == 0,
        given["q"],
        given["q"].roll(300, 2),
    )
    found = excesses(hyperbolic_attention, reference.hyperbolic_attention, given)
    for name in ("dbeta", "dcurvature"):
        assert found.pop(name) <= 8 * CASES[0].k
    assert all(ratio <= CASES[0].k for ratio in found.values()), found


def test_memory_grows_with_tokens_not_with_their_square(inputs, extra_bytes):
    """At 4,096 tokens forward and backward take less than nine tensors like q; the scores would be 64."""
    given = inputs(CASES[0], torch.bfloat16)
    given |= {name: given[name][:1].clone().requires_grad_() for name in "qkv"}
    leaves = [given[name] for name in "qkv"]
    taken = extra_bytes(lambda: torch.autograd.grad(hyperbolic_attention(**given).sum(), leaves))
    assert taken < 9 * given["q"].nbytes
