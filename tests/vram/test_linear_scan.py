"""The Triton scan agrees with its definition at real sizes."""

import pytest
import torch

from kernels import implementation, linear_scan
from kernels.case import excesses
from kernels.linear_scan import reference
from kernels.linear_scan.cases import CASES

pytestmark = pytest.mark.gpu

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, dtype, reverse):
    """Over several blocks and part of one; few rows, because the definition keeps every state."""
    given = inputs(CASES[1], dtype)
    given = {name: x[:, :16, :5000] for name, x in given.items()} | {"reverse": reverse}
    assert implementation(given["b"]) == "triton"
    found = excesses(linear_scan, reference.linear_scan, given)
    assert all(ratio <= CASES[0].k for ratio in found.values()), found


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_cumulative_sum_agrees_with_the_definition_on_a_gpu(inputs, dtype):
    """It reads the increments alone."""
    b = inputs(CASES[1], dtype)["b"][:, :16, :5000]
    found = excesses(linear_scan, reference.linear_scan, {"a": None, "b": b})
    assert all(ratio <= CASES[0].k for ratio in found.values()), found
