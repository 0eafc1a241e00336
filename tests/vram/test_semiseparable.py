"""The Triton product with a semiseparable matrix agrees with its definition at real sizes."""

import pytest
import torch

from kernels import implementation, semiseparable
from kernels.case import excesses
from kernels.semiseparable import reference
from kernels.semiseparable.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """The product and every gradient."""
    given = inputs(case, dtype)
    assert implementation(given["x"]) == "triton"
    found = excesses(semiseparable, reference.semiseparable, given)
    assert all(ratio <= case.k for ratio in found.values()), found
