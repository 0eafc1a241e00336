"""The fused low-rank feed-forward network agrees with its definition at real sizes."""

import pytest
import torch

from kernels import implementation, low_rank_ffn
from kernels.case import excesses
from kernels.low_rank_ffn import reference
from kernels.low_rank_ffn.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(case, dtype):
    """Output and every gradient."""
    given = case.make_inputs("cuda", dtype, 0)
    assert implementation(given["x"]) == "triton"
    found = excesses(low_rank_ffn, reference.low_rank_ffn, given)
    assert all(ratio <= case.k for ratio in found.values()), found


def test_the_hidden_layer_takes_no_memory_on_the_way_forward():
    """Only what has rank size, and the output."""
    given = CASES[1].make_inputs("cuda", torch.bfloat16, 0)
    low_rank_ffn(**given)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    out = low_rank_ffn(**given)
    at_rank = 2 * out.shape[0] * given["down"].shape[0] * out.element_size()
    assert torch.cuda.max_memory_allocated() - before <= out.nbytes + at_rank + 2**20
