"""The low-rank feed-forward network: the definition is right, and the kernel agrees with it."""

from math import erf

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from kernels import low_rank_ffn
from kernels.case import excesses
from kernels.low_rank_ffn import autograd, reference
from kernels.low_rank_ffn.cases import CASES

K = CASES[0].k


@pytest.fixture
def slices(monkeypatch):
    """Backward in slices of 16 hidden features."""
    monkeypatch.setattr(autograd, "slice_features", lambda _tokens, features, _itemsize: min(features, 16))


def inputs(tokens=21, d=11, r=5, f=37, dtype=torch.float32):
    """Tokens and the four maps."""
    random = torch.Generator().manual_seed(tokens)
    shapes = {"x": (tokens, d), "down": (r, d), "expand": (f, r), "contract": (r, f), "up": (d, r)}
    return {name: torch.randn(shape, generator=random).to(dtype) for name, shape in shapes.items()}


def agree(given, **names):
    """Assert the tolerance for the output and every gradient."""
    found = excesses(low_rank_ffn, reference.low_rank_ffn, given | names)
    assert all(ratio <= K for ratio in found.values()), found


def test_without_activation_at_rank_it_is_the_dense_network_of_the_products():
    """With the error function of the standard library."""
    x, down, expand, contract, up = inputs(dtype=torch.float64).values()
    hidden = x @ (expand @ down).T
    acted = hidden * (1 + hidden.clone().apply_(lambda h: erf(h / 2**0.5))) / 2
    torch.testing.assert_close(low_rank_ffn(x, down, expand, contract, up), acted @ (up @ contract).T)


def test_with_relu_at_rank_nothing_negative_passes_any_layer():
    """Three clamped layers and a linear one."""
    x, down, expand, contract, up = inputs(dtype=torch.float64).values()
    want = x
    for weight in (down, expand, contract):
        want = (want @ weight.T).clamp(min=0)
    got = low_rank_ffn(x, down, expand, contract, up, activation="relu", at_rank="relu")
    torch.testing.assert_close(got, want @ up.T)


@pytest.mark.parametrize("at_rank", [None, "gelu"])
def test_the_definition_has_the_gradients_of_finite_differences(at_rank):
    """For tokens and all four maps, in double precision."""
    leaves = [x.requires_grad_() for x in inputs(3, 2, 2, 5, torch.float64).values()]
    assert torch.autograd.gradcheck(lambda *x: low_rank_ffn(*x, at_rank=at_rank), leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("at_rank", [None, "relu"])
def test_the_kernel_agrees_with_the_definition(slices, activation, at_rank, dtype):
    """Output and every gradient, over several slices."""
    agree(inputs(dtype=dtype), activation=activation, at_rank=at_rank)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 2, 16), (130, 3, 17, 65)])
def test_the_kernel_agrees_at_edge_sizes(sizes):
    """One of everything, and just more than a tile."""
    agree(inputs(*sizes))


def test_the_kernel_takes_strided_inputs_and_any_leading_dimensions(slices):
    """Transposed tokens and maps are no special case."""
    given = inputs(20)
    given["x"] = given["x"].reshape(4, 5, 11).transpose(0, 1)
    given |= {name: given[name].T.contiguous().T for name in ("expand", "contract")}
    agree(given)


def test_nothing_of_the_hidden_size_is_kept_for_the_backward_pass():
    """The tokens are the largest tensor kept."""
    given = {name: x.requires_grad_() for name, x in inputs(tokens=300, f=64).items()}
    kept = []
    with saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        low_rank_ffn(**given)
    assert max(kept) == given["x"].numel() < 300 * 64


def test_a_slice_of_hidden_features_fits_its_memory():
    """Unless not even one tile does."""
    assert autograd.slice_features(16384, 16384, 2) == 2048
    assert autograd.slice_features(10**9, 16384, 2) == 128
    assert autograd.slice_features(1, 100, 4) == 100


def test_the_operator_meets_every_contract_of_a_custom_operator(slices):
    """Schema, fake rule and autograd registration."""
    _, _, expand, contract, _ = inputs().values()
    z = torch.randn(21, 5)
    leaves = tuple(x.requires_grad_() for x in (z, expand, contract))
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(autograd.hidden_map, leaves, {"gelu": True}, test_utils=tests)


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        given = [torch.empty(x.shape, dtype=torch.bfloat16, requires_grad=True) for x in inputs().values()]
        out = low_rank_ffn(*given)
        gradients = torch.autograd.grad(out.sum(), given)
    assert (out.shape, out.dtype) == (given[0].shape, torch.bfloat16)
    assert [g.shape for g in gradients] == [x.shape for x in given]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"contract": torch.ones(5, 36)},
            r"contract has size torch.Size\(\[5, 36\]\), the other maps ask for \(5, 37\)",
        ),
        ({"activation": "tanh"}, r"activation must be one of \['gelu', 'relu'\], got 'tanh'"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(changes, said):
    """What was given, and what is allowed."""
    with pytest.raises((ValueError, TypeError), match=f"{said}|Type-check error"):  # the latter if shapes are checked
        low_rank_ffn(**{**inputs(), **changes})
