"""The chunked linear cross-entropy agrees with its definition at real sizes, within its memory."""

import pytest
import torch

from kernels import implementation, linear_cross_entropy
from kernels.case import excesses
from kernels.linear_cross_entropy import reference
from kernels.linear_cross_entropy.cases import CASES

pytestmark = pytest.mark.gpu

MIB = 2**20


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(dtype):
    """Loss and every gradient."""
    given = CASES[0].make_inputs("cuda", dtype, 0)
    assert implementation(given["hidden"]) == "triton"
    found = excesses(linear_cross_entropy, reference.linear_cross_entropy, given)
    assert all(ratio <= CASES[0].k for ratio in found.values()), found


@pytest.mark.parametrize("case", CASES[1:2], ids=lambda case: case.name)
def test_beyond_the_gradients_it_takes_at_most_64_mebibytes(case):
    """The workspace of cuBLAS, which the allocator holds from the warm-up on, is counted apart."""
    given = case.make_inputs("cuda", torch.bfloat16, 0)
    leaves = [x.requires_grad_() for x in given.values() if x.is_floating_point()]
    for _ in range(2):
        for leaf in leaves:
            leaf.grad = None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        linear_cross_entropy(**given).backward()
    gradients = sum(x.numel() * x.element_size() for x in leaves)
    assert torch.cuda.max_memory_allocated() - before - gradients <= 64 * MIB
