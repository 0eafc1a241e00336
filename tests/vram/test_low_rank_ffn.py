"""The low-rank feed-forward network agrees with its definition at real sizes."""

import pytest
import torch

from kernels import implementation, low_rank_ffn
from kernels.case import excesses
from kernels.low_rank_ffn import reference
from kernels.low_rank_ffn.cases import CASES
from kernels.low_rank_ffn.cases import case as sized

pytestmark = pytest.mark.gpu

ONE_KERNEL = (sized(8192, 1024, 64), sized(16384, 1024, 128))
"""Small ranks and many tokens, in tiles of 64 and of 128 tokens."""
PLAIN = (sized(1, 1024, 128), sized(16384, 1024, 100), sized(4096, 1024, 1024))
"""Left to the matrix library: decoding, rows that are no multiple of 16 bytes, and ranks that keep the hidden layer."""


@pytest.mark.parametrize("case", CASES + ONE_KERNEL + PLAIN, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Output and every gradient."""
    given = inputs(case, dtype)
    assert implementation(given["x"]) == "triton"
    found = excesses(low_rank_ffn, reference.low_rank_ffn, given)
    assert all(ratio <= case.k for ratio in found.values()), found


def test_the_hidden_layer_adds_nothing_to_the_peak_of_a_forward_pass(inputs, extra_bytes):
    """Beside the output only what has rank size does: a slice of it is gone before the output, which is larger."""
    given = inputs(CASES[1], torch.bfloat16)
    taken = extra_bytes(lambda: low_rank_ffn(**given))
    at_rank = 2 * len(given["x"]) * len(given["down"]) * given["x"].element_size()
    assert taken <= at_rank + 2**20


@pytest.mark.parametrize(("rank", "most"), [(128, 128), (512, 448)])
def test_both_passes_take_few_mebibytes_beyond_the_gradients(inputs, extra_bytes, rank, most):
    """Slices of the hidden layer and of its gradient, and what has rank size."""
    given = inputs(sized(16384, 4096, rank), torch.bfloat16)
    leaves = [x.requires_grad_() for x in given.values() if torch.is_tensor(x)]
    taken = extra_bytes(lambda: torch.autograd.grad(low_rank_ffn(**given).sum(), leaves))
    assert taken <= most * 2**20
