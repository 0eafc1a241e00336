"""The linear attention kernel agrees with its definition at real sizes."""

from functools import partial

import pytest
import torch

from kernels import implementation, linear_attention
from kernels.case import excesses
from kernels.linear_attention import reference
from kernels.linear_attention.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{case.name}-{dtype}")
        for dtype in (torch.float32, torch.bfloat16, torch.float16)
        for case in CASES
        if "D64" in case.name or dtype is not torch.float32  # whose wide kernels take a minute to compile
    ],
)
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype, causal):
    """On one sequence of four heads: float64 takes its time. Forward and every gradient."""
    given = inputs(case, dtype)
    given = {name: x[:1, :4] if name in {"q", "k", "v"} else x for name, x in given.items()} | {"causal": causal}
    assert implementation(given["q"]) == "triton"
    del given["feature"]
    found = excesses(partial(linear_attention, feature="elu"), _definition, given)
    # In one number the definition's own error can be small by chance.
    assert found.pop("dcurvature", 0) <= 8 * case.k
    assert all(ratio <= case.k for ratio in found.values()), found


def _definition(q, k, v, *, causal, curvature=None):
    return reference.linear_attention(q, k, v, causal=causal, elu=True, curvature=curvature)[0]
