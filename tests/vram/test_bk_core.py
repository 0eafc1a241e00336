"""The Triton kernel of the resolvent's diagonal agrees with its definition at real sizes."""

import pytest
import torch

from kernels import bk_core, implementation
from kernels.bk_core import reference
from kernels.bk_core.cases import CASES
from kernels.case import excess, excesses

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


def test_a_long_row_agrees_with_the_matrices_it_falls_apart_into(inputs):
    """A row of a million with zeros off the diagonal at equal distances: the definition can do the parts at once."""
    given = inputs(CASES[3], torch.float32)
    n = given["a"].shape[-1]
    parts = 64 if n % 64 == 0 else 3
    given["b"][:, n // parts - 1 :: n // parts] = 0
    cut = {name: given[name].reshape(parts, -1) for name in "a"}
    cut |= {name: torch.nn.functional.pad(given[name], (0, 1)).reshape(parts, -1)[:, :-1] for name in "bc"}
    plain = reference.bk_core(**cut, z=given["z"].expand(parts))
    wide = {name: x.double() for name, x in cut.items()}
    exact = reference.bk_core(**wide, z=given["z"].expand(parts).to(torch.complex128))
    assert excess(bk_core(**given).reshape(parts, -1), plain, exact) <= CASES[3].k
