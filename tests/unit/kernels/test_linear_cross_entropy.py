"""The linear cross-entropy: the definition is right, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from kernels import linear_cross_entropy
from kernels.case import excesses
from kernels.linear_cross_entropy import autograd, reference
from kernels.linear_cross_entropy.cases import CASES

K = CASES[0].k


def inputs(tokens=21, vocabulary=37, width=19, dtype=torch.float32, rank=None):
    """Tokens, a weight and a bias, one target ignored, and the first map of a low-rank head if it has a rank."""
    random = torch.Generator().manual_seed(tokens)

    def normal(*shape):
        return torch.randn(shape, generator=random).to(dtype)

    target = torch.randint(vocabulary, (tokens,), generator=random)
    if tokens > 3:
        target[3] = -100
    given = {
        "hidden": normal(tokens, width),
        "weight": normal(vocabulary, rank or width),
        "target": target,
        "bias": normal(vocabulary),
    }
    return given if rank is None else given | {"down": normal(rank, width)}


@pytest.fixture
def chunks(monkeypatch):
    """Chunks of 16 tokens, and rows of logits in blocks of 16."""
    from kernels.linear_cross_entropy import kernel

    monkeypatch.setattr(autograd, "chunk_rows", lambda *_: 16)
    monkeypatch.setattr(kernel, "BLOCK", 16)


def agree(given):
    """Assert the tolerance for the loss and every gradient."""
    found = excesses(linear_cross_entropy, reference.linear_cross_entropy, given)
    assert all(ratio <= K for ratio in found.values()), found


@pytest.mark.parametrize("rank", [None, 3])
def test_the_definition_is_the_mean_of_minus_log_softmax_at_the_targets(rank):
    """Written out with exponentials, token by token."""
    given = {name: x.double() if x.is_floating_point() else x for name, x in inputs(rank=rank).items()}
    h = given["hidden"] if rank is None else given["hidden"] @ given["down"].T
    weights = (h @ given["weight"].T + given["bias"]).exp()
    chosen = [(weights[t, y] / weights[t].sum()).log() for t, y in enumerate(given["target"]) if y != -100]
    torch.testing.assert_close(linear_cross_entropy(**given), -torch.stack(chosen).mean())


def test_the_definition_has_the_gradients_of_finite_differences():
    """For hidden states and all three weights, in double precision."""
    given = inputs(5, 4, 3, torch.float64, rank=2)
    target = given.pop("target")
    leaves = [x.requires_grad_() for x in given.values()]

    def loss(*x):
        return linear_cross_entropy(target=target, **dict(zip(given, x, strict=True)))

    assert torch.autograd.gradcheck(loss, leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("rank", [None, 7])
def test_the_kernel_agrees_with_the_definition(chunks, dtype, rank):
    """Loss and every gradient, over several chunks and blocks."""
    agree(inputs(dtype=dtype, rank=rank))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 37, 3), (16, 16, 1), (17, 17, 5)])
def test_the_kernel_agrees_at_edge_sizes(chunks, sizes):
    """One token, one word, one channel, and tokens that just fill a chunk."""
    agree(inputs(*sizes))


def test_the_kernel_takes_strided_inputs_and_any_leading_dimensions(chunks):
    """A transposed batch and a transposed weight are no special case."""
    given = inputs(20)
    given["hidden"] = given["hidden"].reshape(4, 5, 19).transpose(0, 1)
    given["target"] = given["target"].reshape(4, 5).T
    given["weight"] = given["weight"].T.contiguous().T
    agree(given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("vocabulary", [7, 32, 39])
def test_the_kernel_agrees_for_any_rest_of_the_vocabulary(chunks, vocabulary, dtype):
    """Less than an even part, nothing beyond it, and seven columns beyond it in half precision."""
    agree(inputs(vocabulary=vocabulary, dtype=dtype))


def test_the_few_columns_beyond_the_even_part_come_first():
    """What they add is rounded once more, and is small."""
    assert autograd.parts(50257, 2) == [slice(50256, 50257), slice(0, 50256)]
    assert autograd.parts(50257, 4) == [slice(50256, 50257), slice(0, 50256)]
    assert autograd.parts(50256, 2) == [slice(0, 50256)]
    assert autograd.parts(7, 2) == [slice(0, 7)]


@pytest.mark.parametrize("vocabulary", [32, 37])
def test_float32_sums_of_the_hidden_gradient_are_rounded_once(monkeypatch, vocabulary):
    """The product that gives them is CUDA's alone; here one in float32 stands for it."""

    def product(a, b, *, out, out_dtype=None):
        return out.copy_(a.float() @ b.float())

    random = torch.Generator().manual_seed(0)
    g, weight = (torch.randn(size, generator=random).half() for size in [(5, vocabulary), (vocabulary, 9)])
    got, split = torch.empty(5, 9, dtype=torch.float16), autograd.parts(vocabulary, 2)
    monkeypatch.setattr(torch, "mm", product)
    autograd._times_weight(g, weight, split, torch.empty(16, 9), got)
    torch.testing.assert_close(got, (g.double() @ weight.double()).half(), rtol=2**-10, atol=2**-10)


def test_only_float16_on_a_gpu_has_room_for_float32_sums():
    """As the fake rule tells a prediction of memory."""
    with FakeTensorMode():
        rooms = {
            (dtype, device): autograd._scratch(torch.empty(4, 6, dtype=dtype, device=device), 3, 70, [True])
            for dtype in (torch.float16, torch.bfloat16)
            for device in ("cpu", "cuda")
        }
    assert {at: sums.shape[0] for at, (_, sums) in rooms.items() if len(sums)} == {(torch.float16, "cuda"): 3}
    assert {logits.shape for logits, _ in rooms.values()} == {(3, 128)}


def test_the_work_of_both_passes_is_three_products():
    """The forward pass's own is the one that forms the logits."""
    case, product = CASES[1], 2 * 8192 * 50257 * 4096
    assert case.forward(torch.bfloat16).flops == product
    assert case.backward(torch.bfloat16).flops == 2 * product


def test_a_head_without_bias_needs_none(chunks):
    """Nor a gradient for it."""
    agree({name: x for name, x in inputs().items() if name != "bias"})


def test_a_bias_of_minus_infinity_rules_its_token_out(chunks):
    """Whole blocks of them, too."""
    given = inputs()
    given["bias"][:18] = -torch.inf
    given["target"] = given["target"].clamp(min=18)
    kept = {**given, "weight": given["weight"][18:], "bias": given["bias"][18:], "target": given["target"] - 18}
    torch.testing.assert_close(linear_cross_entropy(**given), linear_cross_entropy(**kept))


def test_without_gradients_the_loss_is_the_same(chunks):
    """Then no product but the logits is formed."""
    given = inputs()
    with_gradients = linear_cross_entropy(**{**given, "hidden": given["hidden"].requires_grad_()})
    with torch.no_grad():
        torch.testing.assert_close(linear_cross_entropy(**given), with_gradients)


def test_a_frozen_weight_gets_no_gradient(chunks):
    """The hidden states still do."""
    given = inputs()
    given["hidden"].requires_grad_()
    loss = linear_cross_entropy(**given)
    (got,) = torch.autograd.grad(loss, [given["hidden"]])
    (want,) = torch.autograd.grad(reference.linear_cross_entropy(**given), [given["hidden"]])
    torch.testing.assert_close(got, want)


def test_nothing_of_the_logits_size_is_kept_for_the_backward_pass():
    """The weight's gradient is the largest tensor kept."""
    given = {name: x.requires_grad_(x.is_floating_point()) for name, x in inputs(40, 500, 4).items()}
    kept = []
    with saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        linear_cross_entropy(**given)
    assert max(kept) == given["weight"].numel()


def test_a_second_backward_pass_is_refused():
    """The first one scales the gradients in place."""
    given = inputs()
    loss = linear_cross_entropy(**{**given, "hidden": given["hidden"].requires_grad_()})
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_target_outside_the_vocabulary_makes_the_loss_nan():
    """A kernel cannot raise."""
    given = inputs()
    given["target"][0] = 37
    assert linear_cross_entropy(**given).isnan()


def test_without_any_target_the_loss_is_nan():
    """The mean of nothing."""
    given = inputs()
    assert linear_cross_entropy(**{**given, "target": torch.full_like(given["target"], -100)}).isnan()


def test_a_chunk_of_logits_fits_beside_a_workspace_of_8_125_mebibytes():
    """At the vocabulary of GPT-2, in bfloat16, and whole tiles of a product."""
    rows = autograd.chunk_rows(50257, 2)
    assert rows % 128 == 0
    assert rows * 50304 * 2 + 8.125 * 2**20 < 60 * 2**20


def test_a_chunk_of_a_large_vocabulary_is_no_shorter_than_its_reading_of_the_weight():
    """In bytes of a column, whatever the precision."""
    assert [autograd.chunk_rows(152064, size) for size in (2, 4)] == [512, 256]


def test_the_operator_meets_every_contract_of_a_custom_operator(chunks):
    """Schema, fake rule, autograd registration and tracing."""
    given = inputs(17, 5, 3)
    leaves = (given[name].requires_grad_() for name in ("hidden", "weight", "bias"))
    operands = (*leaves, given["target"], -100, [True, True, True])
    # The third test differentiates with respect to outputs that are not differentiable.
    torch.library.opcheck(autograd.loss_and_gradients, operands, test_utils=("test_schema", "test_faketensor"))


def test_fake_tensors_show_the_loss_without_computing():
    """Half precision gives a loss in float32."""
    with FakeTensorMode():
        loss = linear_cross_entropy(
            torch.empty(2, 9, 4, dtype=torch.bfloat16, requires_grad=True),
            torch.empty(50, 4, dtype=torch.bfloat16, requires_grad=True),
            torch.empty(2, 9, dtype=torch.int64),
        )
        loss.backward()
    assert (loss.shape, loss.dtype) == ((), torch.float32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": torch.zeros(20, dtype=torch.int64)}, r"target must be integers of shape \(21,\)"),
        ({"weight": torch.ones(37, 19).half()}, "must share one dtype"),
        ({"weight": torch.ones(37, 18)}, r"hidden \(21, 19\) does not fit weight \(37, 18\)"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(changes, said):
    """What was given, and what is allowed."""
    with pytest.raises((ValueError, TypeError), match=f"{said}|Type-check error"):  # the latter if shapes are checked
        linear_cross_entropy(**{**inputs(), **changes})
