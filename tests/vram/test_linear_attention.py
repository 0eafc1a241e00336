"""The linear attention kernel agrees with its definition at real sizes."""

from functools import partial

import pytest
import torch

from kernels import implementation, linear_attention, linear_attention_step
from kernels.case import excess, excesses
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_token_after_a_sequence_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """What the sequence has left is read, added to and written by one kernel."""
    given = inputs(case, dtype)
    c = given.get("curvature")
    tokens = [given[name][:1, :4] for name in "qkv"]
    _, state = linear_attention_step(*(x[:, :, :-1] for x in tokens), feature="elu", curvature=c)
    out, _ = linear_attention_step(*(x[:, :, -1:] for x in tokens), state, feature="elu", curvature=c)
    plain = _definition(*tokens, causal=True, curvature=None if c is None else c.float())
    exact = _definition(*(x.double() for x in tokens), causal=True, curvature=None if c is None else c.double())
    assert excess(out, plain[:, :, -1:], exact[:, :, -1:]) <= case.k


def _definition(q, k, v, *, causal, curvature=None):
    return reference.linear_attention(q, k, v, causal=causal, elu=True, curvature=curvature)[0]
