"""The low-rank feed-forward network: the definition is right, and the kernel agrees with it."""

from collections import defaultdict
from importlib import import_module
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


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """The number of tokens up to which the definition runs, which is none here."""
    number = autograd.FEW
    monkeypatch.setattr(autograd, "FEW", 0)
    return number


@pytest.fixture
def slices(monkeypatch):
    """Slices of 16 tokens."""
    monkeypatch.setattr(autograd, "slice_tokens", lambda tokens, _features, _itemsize, _held: min(tokens, 16))


@pytest.fixture
def kernel():
    """The kernels' module, loaded when Triton's interpreter is on."""
    return import_module("kernels.low_rank_ffn.kernel")


@pytest.fixture(params=["plain", "tiled", "fused"])
def way(request, monkeypatch):
    """Each way to form the hidden layer, which only large inputs would take."""
    monkeypatch.setattr(autograd, "TILES", 1 if request.param != "plain" else 10**9)
    monkeypatch.setattr(autograd, "FUSED_TILES", 1 if request.param == "fused" else 10**9)
    return request.param


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


def test_few_tokens_run_the_definition(few, monkeypatch):
    """To the last bit, and with one token more a kernel."""
    called = []
    monkeypatch.setattr(autograd, "hidden_map", lambda z, *_, **__: called.append(len(z)) or z)
    monkeypatch.setattr(autograd, "FEW", few)
    given = inputs(few)
    assert torch.equal(low_rank_ffn(**given), reference.low_rank_ffn(**given))
    low_rank_ffn(**inputs(few + 1))
    assert called == [few + 1]


def test_nothing_of_the_hidden_size_is_kept_for_the_backward_pass():
    """The tokens are the largest tensor kept."""
    given = {name: x.requires_grad_() for name, x in inputs(tokens=300, f=64).items()}
    kept = []
    with saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        low_rank_ffn(**given)
    assert max(kept) == given["x"].numel() < 300 * 64


def maps(tokens, features, rank, dtype=torch.bfloat16):
    """Tokens at rank r and the two maps between, without memory."""
    return [
        torch.empty(shape, dtype=dtype, device="meta") for shape in [(tokens, rank), (features, rank), (rank, features)]
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_every_way_agrees_with_the_definition(way, slices, activation, dtype):
    """Over several slices."""
    agree(inputs(r=24, f=40, dtype=dtype), activation=activation)


@pytest.mark.parametrize("sizes", [(130, 3, 72, 264), (1, 3, 8, 8), (257, 8, 128, 520)])
def test_every_way_agrees_at_edge_sizes(way, sizes):
    """Just more than a tile and than a step, less than either, and whole steps."""
    agree(inputs(*sizes, dtype=torch.bfloat16))


def test_every_tile_is_formed_where_there_are_more_than_a_group_and_more_than_programs(way, kernel, monkeypatch):
    """Groups of two tiles of tokens, the last of one; three programs for nine tiles."""
    monkeypatch.setattr(kernel, "GROUP", 2)
    monkeypatch.setattr(kernel, "PROGRAMS", 3)
    agree(inputs(300, 3, 8, 520, torch.bfloat16))


def test_small_inputs_and_single_precision_are_left_to_the_matrix_library():
    """The kernels want two tiles for each processor."""
    assert autograd.tiled(*maps(2048, 16384, 512))
    assert not autograd.tiled(*maps(128, 16384, 512))
    assert not autograd.tiled(*maps(2048, 16384, 512, torch.float32))


def test_rows_that_the_copy_engine_cannot_fetch_are_left_to_the_matrix_library():
    """It wants multiples of 16 bytes, and neighbours side by side."""
    z, expand, contract = maps(2048, 16384, 512)
    assert not autograd.tiled(*maps(2048, 16384, 511))
    assert not autograd.tiled(*maps(2048, 16385, 512))
    assert not autograd.tiled(z, expand, maps(2048, 512, 16384)[2].T)
    assert not autograd.tiled(z, expand[1:], contract[:, 1:])
    assert not autograd.tiled(z, expand[:-1], contract[:, :-1])
    assert not autograd.tiled(
        torch.empty(2048 * 512 + 1, dtype=z.dtype, device="meta")[1:].view(2048, 512), expand, contract
    )


def test_one_kernel_does_all_at_small_ranks_and_for_many_tokens():
    """Or most processors would have nothing to do."""
    assert autograd.fused(*maps(16384, 16384, 128))
    assert not autograd.fused(*maps(16384, 16384, 136))
    assert not autograd.fused(*maps(4096, 16384, 128))


@pytest.mark.parametrize(("tokens", "height"), [(12672, 128), (12544, 64)])
def test_the_fused_kernel_has_lower_tiles_where_processors_would_be_idle(kernel, monkeypatch, tokens, height):
    """Three quarters of them have a tile, or the tiles are halved."""
    chosen = []
    monkeypatch.setattr(kernel, "_fused", defaultdict(lambda: lambda *given, **_: chosen.append(given[6])))
    kernel.fused(*(torch.empty(x.shape, dtype=x.dtype) for x in maps(tokens, 16, 8)), gelu=True)
    assert chosen == [height]


def test_slices_of_tokens_fit_their_memory_and_are_about_as_high():
    """Unless not even one tile does."""
    held = 2**27
    assert autograd.slice_tokens(16384, 16384, 2, held) == 4096
    assert autograd.slice_tokens(16384, 16384, 2, held - 1) == 3328
    assert autograd.slice_tokens(4224, 16384, 2, held) == 2176
    assert autograd.slice_tokens(16384, 10**9, 2, held) == 128
    assert autograd.slice_tokens(100, 16384, 4, held) == 100
    assert autograd.slice_tokens(0, 16384, 4, held) == 1


@pytest.mark.parametrize(("rank", "tokens"), [(128, 3328), (512, 8192)])
def test_a_slice_on_the_way_back_is_larger_at_wide_ranks(rank, tokens):
    """At T = 16,384 and f = 16,384 in half precision: five of them, or two."""
    z, expand = (torch.empty(16384, rank, dtype=torch.bfloat16, device="meta") for _ in range(2))
    assert autograd._held_back(z, expand).shape == (2, tokens, 16384)


@pytest.mark.parametrize(("rank", "grad", "kept"), [(512, True, False), (513, True, True), (513, False, False)])
def test_above_rank_512_the_definition_runs_where_gradients_are_wanted(monkeypatch, rank, grad, kept):
    """It keeps the hidden layer. The operator does not, forward alone or at other ranks."""
    seen = []
    monkeypatch.setattr(autograd, "hidden_map", lambda z, *_, **__: seen.append("operator") or z)
    monkeypatch.setattr(reference, "hidden_map", lambda z, *_, **__: seen.append("definition") or z)
    given = {name: x.requires_grad_(grad) for name, x in inputs(tokens=2, d=3, r=rank, f=4).items()}
    low_rank_ffn(**given)
    with torch.no_grad():
        low_rank_ffn(**given)
    assert seen == ["definition" if kept else "operator", "operator"]


def test_without_tokens_the_gradients_of_the_maps_are_zero():
    """Not what was in memory before."""
    given = {name: x.requires_grad_() for name, x in inputs(0).items()}
    low_rank_ffn(**given).sum().backward()
    assert all((given[name].grad == 0).all() for name in ("expand", "contract"))


@pytest.fixture
def activated(kernel):
    """GELU and its slope by the kernels, and exactly, at numbers of a type, infinities and NaN among them."""

    def compute(dtype):
        x = torch.cat([torch.linspace(-10, 10, 4001), torch.tensor([torch.inf, torch.nan])]).to(dtype)
        hidden, slope, alone = x.clone(), torch.ones_like(x), x.clone()
        kernel.both(hidden, slope, gelu=True)
        kernel.activate(alone, gelu=True)
        torch.testing.assert_close(alone, hidden, rtol=0, atol=0, equal_nan=True)
        exact = x.double().requires_grad_()
        out = torch.nn.functional.gelu(exact)
        return (hidden.double(), out.detach()), (slope.double(), torch.autograd.grad(out.sum(), exact)[0])

    return compute


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float16, 1e-6), (torch.float32, 2e-7)], ids=str)
def test_the_activation_errs_by_a_rounding_and_a_millionth_at_most(activated, dtype, allowed):
    """In single precision, by what the error function of that precision does."""
    for got, exact in activated(dtype):
        bound = torch.finfo(dtype).eps / 2 * exact.abs() + allowed
        finite = exact.isfinite()
        assert ((got - exact).abs() <= bound)[finite].all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_what_is_not_finite_stays_so(activated, dtype):
    """Infinity, and NaN with its gradient."""
    (out, _), (slope, _) = activated(dtype)
    assert out[-2] == torch.inf
    assert slope[-2] == 1
    assert out[-1].isnan()
    assert slope[-1].isnan()


def test_under_autocast_all_maps_have_its_precision():
    """And their gradients that of the maps."""
    given = {name: x.requires_grad_() for name, x in inputs().items()}
    with torch.autocast("cpu", torch.bfloat16):
        outputs = [f(**given) for f in (low_rank_ffn, reference.low_rank_ffn)]
    found = [(out, *torch.autograd.grad(out.float().sum(), list(given.values()))) for out in outputs]
    for got, want in zip(*found, strict=True):
        assert got.dtype == want.dtype
        torch.testing.assert_close(got, want, rtol=0, atol=2**-5 * float(want.detach().abs().max()))


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
