"""The Triton look-up agrees with its definition at real sizes."""

import pytest
import torch

from kernels import implementation, tensor_train
from kernels.case import excesses
from kernels.tensor_train import reference
from kernels.tensor_train.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Embeddings and every gradient."""
    given = inputs(case, dtype)
    assert implementation(given["core1"]) == "triton"
    found = excesses(tensor_train, reference.tensor_train, given)
    assert all(ratio <= case.k for ratio in found.values()), found
