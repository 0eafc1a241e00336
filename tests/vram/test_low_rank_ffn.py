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
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Output and every gradient."""
    given = inputs(case, dtype)
    assert implementation(given["x"]) == "triton"
    found = excesses(low_rank_ffn, reference.low_rank_ffn, given)
    assert all(ratio <= case.k for ratio in found.values()), found


def test_the_hidden_layer_takes_no_memory_on_the_way_forward(inputs, extra_bytes):
    """Beside the output only what has rank size does."""
    given = inputs(CASES[1], torch.bfloat16)
    taken = extra_bytes(lambda: low_rank_ffn(**given))
    at_rank = 2 * len(given["x"]) * len(given["down"]) * given["x"].element_size()
    assert taken <= at_rank + 2**20
