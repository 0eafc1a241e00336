"""The chunked linear cross-entropy agrees with its definition at real sizes, within its memory."""

import pytest
import torch

from kernels import implementation, linear_cross_entropy
from kernels.case import excesses
from kernels.linear_cross_entropy import reference
from kernels.linear_cross_entropy.cases import CASES
from kernels.linear_cross_entropy.cases import case as sized

pytestmark = pytest.mark.gpu

MIB = 2**20


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", [CASES[0], sized(2048, 50257, 1024)], ids=lambda case: case.name)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Loss and every gradient, for an even and for an odd vocabulary."""
    given = inputs(case, dtype)
    assert implementation(given["hidden"]) == "triton"
    found = excesses(linear_cross_entropy, reference.linear_cross_entropy, given)
    assert all(ratio <= case.k for ratio in found.values()), found


@pytest.mark.parametrize("case", CASES[1:2], ids=lambda case: case.name)
def test_beyond_the_gradients_it_takes_at_most_64_mebibytes(inputs, extra_bytes, case):
    """The workspace of cuBLAS, which the allocator holds from the warm-up on, is counted apart."""
    given = inputs(case, torch.bfloat16)
    leaves = [x.requires_grad_() for x in given.values() if x.is_floating_point()]
    taken = extra_bytes(lambda: torch.autograd.grad(linear_cross_entropy(**given), leaves))
    assert taken <= 64 * MIB
