"""The Moebius recurrence agrees with its definition on a GPU."""

import pytest
import torch

from kernels import hyperbolic_scan, implementation
from kernels.case import excesses
from kernels.hyperbolic_scan import reference
from kernels.hyperbolic_scan.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Over 500 steps: the definition takes them one by one, in Python. Forward and every gradient."""
    given = inputs(case, dtype)
    given |= {name: given[name][:, :500] for name in "ab"}
    assert implementation(given["b"]) == "triton"
    found = excesses(hyperbolic_scan, _definition, given)
    assert found.pop("dcurvature") <= 8 * case.k  # the definition's own error in one number can be small by chance
    assert all(ratio <= case.k for ratio in found.values()), found


def test_the_kernel_agrees_with_the_definition_far_out_on_a_gpu(inputs):
    """Where a GPU's own logarithms, exponentials and roots err most: three times as far from the origin."""
    given = inputs(CASES[0], torch.float32)
    given = {"a": given["a"][:, :500], "b": 3 * given["b"][:, :500], "curvature": given["curvature"]}
    found = excesses(hyperbolic_scan, _definition, given)
    assert found.pop("dcurvature") <= 8 * CASES[0].k
    assert all(ratio <= CASES[0].k for ratio in found.values()), found


def _definition(a, b, curvature):
    return reference.hyperbolic_scan(a, b, curvature, b.new_zeros(b.shape[0], b.shape[-1]))
