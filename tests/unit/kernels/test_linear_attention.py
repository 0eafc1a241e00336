"""Tangent-space linear attention: the definition is right, and the kernel agrees with it."""

from functools import partial

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from kernels import linear_attention, linear_attention_step
from kernels.case import excesses
from kernels.linear_attention import autograd, reference, sizes
from kernels.linear_attention.cases import CASES

K = CASES[0].k
K_OF_ONE_NUMBER = 32
"""For the curvature's gradient: the definition's own error in a single sum can be small by chance."""


@pytest.fixture
def chunks(monkeypatch):
    """Chunks of 16 tokens, and segments of four of them."""
    monkeypatch.setattr(sizes, "CHUNK", 16)
    monkeypatch.setattr(sizes, "SHORTEST", 64)


@pytest.fixture
def one_segment(monkeypatch):
    """A sequence is one segment, however long."""
    monkeypatch.setattr(sizes, "MULTIPROCESSORS", 0)


class Called(TorchDispatchMode):
    """Notes which operators are called that do more than allocate or view."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not func.is_view and not func.name().startswith(("aten::empty", "aten::new_empty", "aten::detach")):
            self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def inputs(n, dtype=torch.float32, d=5, e=3, *, batch=(1,), curved=True):
    """One sequence of points in the ball of curvature -0.7, and the curvature."""
    random = torch.Generator().manual_seed(n)
    q, k, v = (0.2 * torch.randn(*batch, n, width, generator=random, dtype=torch.float64) for width in (d, d, e))
    given = {"q": q.to(dtype), "k": k.to(dtype), "v": v.to(dtype)}
    return given | {"curvature": torch.tensor(0.7, dtype=dtype)} if curved else given


def definition(q, k, v, *, feature="elu", curvature=None, causal):
    """The reference behind the public function's names."""
    if curvature is not None:
        curvature = curvature.to(torch.promote_types(q.dtype, torch.float32))
    return reference.linear_attention(q, k, v, causal=causal, elu=feature == "elu", curvature=curvature)[0]


def agree(given, *, causal):
    """Assert the tolerance for the output and every gradient."""
    found = excesses(partial(linear_attention, feature="elu"), definition, given | {"causal": causal})
    assert found.pop("dcurvature", 0) <= K_OF_ONE_NUMBER
    assert all(ratio <= K for ratio in found.values()), found


def as_matrix(q, k, v, c, *, causal):
    """The same attention with maps and weights written out."""
    q, k, v = (
        torch.atanh(c.sqrt() * x.norm(dim=-1, keepdim=True)) * F.normalize(x, dim=-1) / c.sqrt() for x in (q, k, v)
    )
    weights = torch.einsum("bnd,bmd->bnm", *(torch.where(x > 0, 1 + x, x.exp()) for x in (q, k)))
    weights = weights.tril() if causal else weights
    o = torch.einsum("bnm,bme->bne", weights / weights.sum(-1, keepdim=True), v)
    return torch.tanh(c.sqrt() * o.norm(dim=-1, keepdim=True)) * F.normalize(o, dim=-1) / c.sqrt()


@pytest.mark.parametrize("causal", [False, True])
def test_the_definition_maps_to_the_tangent_space_and_back(causal):
    """Against weights written out as a matrix."""
    given = inputs(9, torch.float64)
    want = as_matrix(*given.values(), causal=causal)
    torch.testing.assert_close(linear_attention(**given, feature="elu", causal=causal), want)


@pytest.mark.parametrize("causal", [False, True])
def test_the_definition_has_the_gradients_of_finite_differences(causal):
    """For q, k, v and the curvature, in double precision."""
    leaves = [x.requires_grad_() for x in inputs(4, torch.float64, 2, 2).values()]
    attend = partial(linear_attention, feature="elu", causal=causal)
    assert torch.autograd.gradcheck(lambda q, k, v, c: attend(q, k, v, curvature=c), leaves)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition(chunks, dtype, causal):
    """Output and every gradient, over three chunks."""
    agree(inputs(37, dtype, batch=(2,)), causal=causal)


def test_one_token_keeps_its_value_whatever_its_features():
    """So its features get no gradient."""
    given = [x.requires_grad_() for x in inputs(1, curved=False).values()]
    out = linear_attention(*given, feature="elu", causal=True)
    torch.testing.assert_close(out, given[2])
    dq, dk, dv = torch.autograd.grad(out.sum(), given)
    torch.testing.assert_close((dq, dk, dv), (0 * dq, 0 * dk, torch.ones_like(dv)))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_kernel_agrees_without_a_ball(chunks, dtype, causal):
    """Without log and exponential maps."""
    agree(inputs(33, dtype, curved=False), causal=causal)


@pytest.mark.parametrize("causal", [False, True])
def test_segments_agree_with_the_definition(chunks, causal):
    """150 tokens in two segments of chunks of 16, the second one not full."""
    agree(inputs(150, curved=False), causal=causal)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_segments_agree_on_the_ball(chunks, dtype, causal):
    """Four segments of full chunks: sums of three others are added up before the first and after the last."""
    agree(inputs(256, dtype, 3, 2), causal=causal)


@pytest.mark.parametrize("causal", [False, True])
def test_the_kernel_agrees_on_features(chunks, causal):
    """Without any map: they are positive already."""
    given = inputs(70, curved=False) | {"feature": None}
    given |= {name: given[name].abs() + 0.1 for name in "qk"}
    found = excesses(linear_attention, definition, given | {"causal": causal})
    assert all(ratio <= K for ratio in found.values()), found


def test_one_segment_agrees_with_the_definition(chunks, one_segment):
    """The same length, walked at once."""
    agree(inputs(70, curved=False), causal=True)


def test_the_kernel_agrees_at_tile_64_and_head_dimension_64():
    """Where transposed accumulators have been miscompiled."""
    agree(inputs(130, torch.bfloat16, 64, 64, curved=False), causal=True)


def test_heads_transposed_out_of_a_projection_are_read_where_they_lie(chunks):
    """Their last stride is one."""
    given = inputs(20, batch=(2, 2))
    for name in "qkv":
        given[name] = given[name].transpose(1, 2).contiguous().transpose(1, 2)
    agree(given, causal=True)


def test_a_last_stride_other_than_one_will_do(chunks):
    """Such a tensor is copied."""
    given = inputs(20)
    agree(given | {"q": given["q"].mT.contiguous().mT}, causal=True)


def test_small_and_large_norms_agree_with_float64(chunks):
    """The series takes over without a jump, and a point near the boundary keeps its digits."""
    given = inputs(16, d=3)
    norms = torch.tensor([0, 1e-20, 1e-6, 1e-3, 0.1, 0.14, 0.16, 0.17, 0.2, 0.5, 0.9, 1, 1.1, 1.15, 1.18, 1.19])
    for name in "qkv":
        given[name] = F.normalize(given[name], dim=-1) * norms[:, None]
    agree(given, causal=True)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy interprets, and says so
def test_a_point_outside_the_ball_gives_nan(chunks):
    """Nothing is clamped."""
    given = inputs(2, d=3)
    given["v"][0, 0] = 2.0
    out = linear_attention(**given, feature="elu", causal=True)
    assert out[0, 0].isnan().all()


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_query_outside_the_ball_gives_nan(chunks):
    """Its features are not taken for ones."""
    given = inputs(20, d=3)
    given["q"][0, 1] = 2.0
    out = linear_attention(**given, feature="elu", causal=True)
    assert out[0, 1].isnan().all()
    assert out[0, 2:].isfinite().all()


@pytest.mark.parametrize("tokens", range(2, sizes.FEW + 1))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_few_tokens_agree_with_the_definition(dtype, tokens):
    """They are taken one by one."""
    agree(inputs(tokens, dtype, batch=(2,)), causal=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_decoding_in_steps_gives_what_the_whole_sequence_gives(chunks, dtype):
    """The state carries all that a step needs."""
    given = inputs(40, dtype)
    q, k, v, c = given.values()
    state, outs = None, []
    for part in (slice(0, 25), slice(25, 26), slice(26, 40)):
        out, state = linear_attention_step(q[:, part], k[:, part], v[:, part], state, feature="elu", curvature=c)
        outs.append(out)
    torch.testing.assert_close(torch.cat(outs, 1), linear_attention(**given, feature="elu", causal=True))


@pytest.mark.parametrize("tokens", [1, 20])
def test_a_step_has_the_definitions_gradients(chunks, tokens):
    """The state before it counts, and is a constant."""
    given = inputs(20 + tokens, curved=False)
    late = {name: x[:, 20:] for name, x in given.items()}
    _, state = linear_attention_step(*(x[:, :20] for x in given.values()), feature="elu")

    def step(q, k, v):
        return linear_attention_step(q, k, v, tuple(x.to(q.dtype) for x in state), feature="elu")[0]

    def defined(q, k, v):
        given = tuple(x.to(q.dtype) for x in state)
        return reference.linear_attention(q, k, v, causal=True, elu=True, state=given)[0]

    found = excesses(step, defined, late)
    assert all(ratio <= K for ratio in found.values()), found


def test_a_step_is_one_kernel(monkeypatch):
    """Nothing is copied or filled beside it."""
    given = [x.contiguous() for x in inputs(1, curved=False).values()]
    _, state = linear_attention_step(*given, feature="elu")
    with Called() as seen:
        linear_attention_step(*given, state, feature="elu")
    assert seen.names == {"kernels::linear_attention"}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (1, 4095), (7, 20_000), (128, 4096), (1000, 512)])
def test_segments_cover_a_sequence_and_run_at_once(rows, tokens, reverse, causal):
    """None is empty, and none but the last needs no slot for its sums."""
    x = torch.empty(1, rows, tokens, 64, dtype=torch.bfloat16, device="meta")
    parts, length, slots = sizes.segments(x, x, causal=causal, reverse=reverse)
    assert (parts - 1) * length < tokens <= parts * length
    assert length % sizes.CHUNK == 0
    assert slots == parts - causal
    assert parts == 1 or rows * parts <= sizes.MULTIPROCESSORS * sizes.TOGETHER[reverse]


@pytest.mark.parametrize(("log", "mebibytes"), [(False, 15), (True, 33)])
def test_what_is_held_beside_inputs_and_outputs_is_small(log, mebibytes):
    """Of 64 MiB each, at four sequences of 4096 tokens and 32 heads; no tensor of that size is among it."""
    x = torch.empty(4, 32, 4096, 64, dtype=torch.bfloat16, device="meta")
    _, *kept = sizes.attended(x, x, causal=True, log=log)
    _, _, _, *made = sizes.gradients(x, x, x, causal=True, log=log)
    assert sum(held.nbytes for held in (*kept, *made)) < mebibytes * 2**20
    assert sum(held.nbytes for held in (*kept[1:], *made[2:])) < 16 * 2**20


def test_the_operator_meets_every_contract_of_a_custom_operator(chunks):
    """Schema and fake rule."""
    q, k, v, c = inputs(17, batch=(1, 2)).values()
    leaves = (x.requires_grad_() for x in (q, k, v, c))
    names = {"causal": True, "elu": True, "log": True}
    operands = (*leaves, torch.empty(0), torch.empty(0))
    torch.library.opcheck(autograd.linear_attention, operands, names, test_utils=("test_schema", "test_faketensor"))


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        q, k = (torch.empty(2, 3, 9, 4, dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
        v = torch.empty(2, 3, 9, 5, dtype=torch.bfloat16)
        out = linear_attention(q, k, v, feature="elu", causal=True, curvature=1.0)
        (dq,) = torch.autograd.grad(out.sum(), [q])
    assert (out.shape, out.dtype, dq.shape) == (v.shape, v.dtype, q.shape)


def test_an_unknown_feature_map_is_told_in_one_line():
    """What was given, and what is allowed."""
    with pytest.raises(ValueError, match="feature must be 'elu' or None, got 'relu'"):
        linear_attention(**inputs(3), feature="relu")
