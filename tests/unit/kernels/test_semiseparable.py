"""The semiseparable product: the definition is the dense matrix's, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import semiseparable, semiseparable_diagonal
from kernels.case import excesses
from kernels.semiseparable import _check, autograd, reference
from kernels.semiseparable.cases import CASES

K = CASES[0].k


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 16 rows and 16 columns, so that a small product needs several."""
    from kernels.semiseparable import kernel

    monkeypatch.setattr(kernel, "TILES", dict.fromkeys((2, 4), ((16, 16),) * 3))


def inputs(dtype=torch.float32, batches=2, rows=37, d=21, r=3):
    """Sequences and a matrix, all odd sizes."""
    return CASES[0].make_inputs.func((batches, rows, d, r), "cpu", dtype, 0)


def dense(a, b, c, u, v, **_):
    """The matrix with all its entries."""
    return a.diag() + b.diag(1) + c.diag(-1) + u @ v.mT


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_the_definition_is_the_product_with_the_dense_matrix(rows):
    """One row and two rows included."""
    given = inputs(torch.float64, rows=rows)
    torch.testing.assert_close(semiseparable(**given), dense(**given) @ given["x"])


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_the_diagonal_is_that_of_the_dense_inverse(rows):
    """Products b c of any sign."""
    _, *matrix = inputs(torch.float64, rows=rows).values()
    z = torch.tensor(0.3 + 0.5j, dtype=torch.complex128)
    inverse = torch.linalg.inv(dense(*matrix) - z * torch.eye(rows))
    torch.testing.assert_close(semiseparable_diagonal(*matrix, z), inverse.diagonal())


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 33])
def test_steps_merged_in_pairs_give_the_same_diagonal(rows):
    """As one step after another, in double precision."""
    _, *matrix = inputs(torch.float64, rows=rows).values()
    z = torch.tensor(0.3 + 0.5j, dtype=torch.complex128)
    expected = reference.semiseparable_diagonal(*matrix, z)
    torch.testing.assert_close(semiseparable_diagonal(*matrix, z), expected)


def test_the_product_has_the_gradients_of_finite_differences():
    """For the sequence and every parameter, in double precision."""
    given = [x.requires_grad_() for x in inputs(torch.float64, 1, 5, 2, 2).values()]
    assert torch.autograd.gradcheck(semiseparable, given)


def test_the_diagonal_has_the_gradients_of_finite_differences():
    """For every parameter and z, in double precision."""
    _, *matrix = inputs(torch.float64, 1, 5, 1, 2).values()
    z = torch.tensor(0.3 + 0.5j, dtype=torch.complex128)
    assert torch.autograd.gradcheck(semiseparable_diagonal, [x.requires_grad_() for x in (*matrix, z)])


def test_a_vanishing_pivot_is_not_hidden():
    """[[0, 1], [1, 0]] has an inverse, but its first pivot is zero when z = 0."""
    a, b, u = torch.zeros(2), torch.ones(1), torch.zeros(2, 1)
    assert semiseparable_diagonal(a, b, b, u, u, torch.tensor(0j)).isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "sizes",
    [{}, {"rows": 1, "d": 1, "r": 1}, {"rows": 18, "r": 17}, {"rows": 16, "r": 14}, {"rows": 33, "d": 32, "r": 15}],
)
def test_the_kernel_agrees_with_the_definition(small_tiles, dtype, sizes):
    """The product and every gradient, at odd sizes and at one, with U as wide as its tile and the band beside it."""
    found = excesses(semiseparable, reference.semiseparable, inputs(dtype, **sizes))
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_adds_up_segments_of_several_tiles(small_tiles, monkeypatch):
    """A program walks over tiles, and the programs' sums are added."""
    from kernels.semiseparable import kernel

    monkeypatch.setattr(kernel, "PROGRAMS", 8)
    found = excesses(semiseparable, reference.semiseparable, inputs(rows=70))
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_adds_up_more_partial_sums_than_a_tile_of_them_holds(small_tiles):
    """Those of 40 programs, where 32 are read at a time."""
    found = excesses(semiseparable, reference.semiseparable, inputs(batches=1, rows=625, d=2))
    assert all(ratio <= K for ratio in found.values()), found


def test_sums_over_many_features_and_batches_round_as_little_as_the_definition():
    """One chain of additions would err more."""
    found = excesses(semiseparable, reference.semiseparable, inputs(batches=4, rows=9, d=256))
    assert all(ratio <= K for ratio in found.values()), found


@pytest.mark.parametrize("programs", [2, 264])
def test_tiles_of_the_gradients_are_lower_where_they_would_be_few(monkeypatch, programs):
    """The full height, and half of it: 40 rows are two tiles or three."""
    from kernels.semiseparable import kernel

    monkeypatch.setattr(kernel, "PROGRAMS", programs)
    found = excesses(semiseparable, reference.semiseparable, inputs(torch.bfloat16, rows=40))
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_takes_strided_inputs(small_tiles):
    """Transposed and stepped views are no special case."""
    given = inputs()
    given |= {name: given[name].mT.contiguous().mT for name in ("x", "u", "v")}
    given["a"] = given["a"].repeat_interleave(2)[::2]
    found = excesses(semiseparable, reference.semiseparable, given)
    assert all(ratio <= K for ratio in found.values()), found


def test_any_number_of_batch_dimensions_is_taken():
    """None, or two."""
    given = inputs(rows=5, d=2)
    x = given.pop("x")
    for batch in (x[0], x[None]):
        torch.testing.assert_close(semiseparable(batch, **given), reference.semiseparable(batch, **given))


def test_the_operator_meets_every_contract_of_a_custom_operator():
    """Schema, fake rule, autograd registration and tracing."""
    torch.library.opcheck(autograd.semiseparable, [x.requires_grad_() for x in inputs(rows=3, d=2).values()])


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        x, a, b, u = (torch.empty(size, dtype=torch.bfloat16) for size in ((4, 99, 8), (99,), (98,), (99, 7)))
        y = semiseparable(x, a, b, b, u, u)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"b": torch.ones(5)}, r"b is torch.float32 \(5,\), but 5 rows ask for torch.float32 \(4,\)"),
        ({"v": torch.ones(5, 2)}, r"v is torch.float32 \(5, 2\)"),
        ({"a": torch.ones(5).half()}, "a is torch.float16"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(changes, said):
    """What was given, and what is asked for."""
    _, *matrix = (inputs(rows=5) | changes).values()
    with pytest.raises(ValueError, match=said):
        _check(*matrix, rows=5, dtype=torch.float32)


def test_an_empty_sequence_is_refused():
    """There is nothing to multiply."""
    given = inputs(rows=5) | {"x": torch.ones(0, 5, 2)}
    with pytest.raises(ValueError, match="has no element"):
        semiseparable(**given)


def test_a_number_z_of_another_precision_is_refused():
    """The precision of the result would be a guess."""
    _, *matrix = inputs(rows=5).values()
    with pytest.raises(ValueError, match=r"a is torch.float32 and z is torch.complex128"):
        semiseparable_diagonal(*matrix, torch.tensor(1j, dtype=torch.complex128))
