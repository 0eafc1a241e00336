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
def test_the_kernel_agrees_with_the_definition_on_a_gpu(case, dtype):
    """On 700 tokens of two heads: the definition holds N M D differences in float64. Forward and every gradient."""
    given = case.make_inputs("cuda", dtype, 0)
    given |= {name: given[name][:1, :2, :700] for name in "qkv"}
    assert implementation(given["q"]) == "triton"
    found = excesses(hyperbolic_attention, reference.hyperbolic_attention, given)
    for name in ("dbeta", "dcurvature"):  # in one number the definition's own error can be small by chance
        assert found.pop(name) <= 8 * case.k
    assert all(ratio <= case.k for ratio in found.values()), found


def test_memory_grows_with_tokens_not_with_their_square():
    """Forward and backward at 4,096 tokens take less than one matrix of scores of a single head."""
    given = CASES[0].make_inputs("cuda", torch.bfloat16, 0)
    given |= {name: given[name][:1].clone().requires_grad_() for name in "qkv"}
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    hyperbolic_attention(**given).sum().backward()
    tensors = given["q"].numel() * 2
    assert torch.cuda.max_memory_allocated() - before < 12 * tensors
