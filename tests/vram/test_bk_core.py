"""The Triton kernel of the resolvent's diagonal agrees with its definition at real sizes."""

import pytest
import torch

from kernels import bk_core, implementation
from kernels.bk_core import reference
from kernels.bk_core.cases import CASES
from kernels.case import excesses

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, dtype):
    """G and every gradient."""
    given = inputs(CASES[0], dtype)
    assert implementation(given["a"]) == "triton"
    found = excesses(bk_core, reference.bk_core, given)
    assert all(ratio <= CASES[0].k for ratio in found.values()), found


def test_at_16384_rows_the_relative_error_is_at_most_1e_4(inputs):
    """Entry by entry, against double precision."""
    given = inputs(CASES[1], torch.float32)
    wide = [x.to(torch.complex128 if x.is_complex() else torch.float64) for x in given.values()]
    exact = reference.bk_core(*wide)
    assert float(((bk_core(**given) - exact).abs() / exact.abs()).max()) <= 1e-4
