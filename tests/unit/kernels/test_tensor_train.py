"""The tensor-train table: the definition is the explicit sum, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import tensor_train, tensor_train_logits
from kernels.case import excesses
from kernels.tensor_train import autograd, reference
from kernels.tensor_train.cases import CASES

K = CASES[0].k
V, D = 11, 19  # cores of 4 and 3 rows, 5 and 4 columns: both table and rows are cropped


def inputs(dtype=torch.float32, tokens=5, vocabulary=V, width=D, r=3):
    """Tokens, cores and phases; nothing divides evenly."""
    return CASES[0].make_inputs.func((tokens, vocabulary, width, r), "cpu", dtype, 0)


def table(core1, core2, phase, **_):
    """Every row by the explicit sum, nothing cropped."""
    (v1, r, d1), (v2, _, d2) = core1.shape, core2.shape
    rows = torch.zeros(v1 * v2, d1 * d2, dtype=core1.dtype)
    for t in range(v1 * v2):
        for rho in range(r):
            rows[t] += phase[rho].cos() * torch.outer(core1[t // v2, rho], core2[t % v2, rho]).flatten()
    return rows


def test_the_definition_is_the_explicit_sum():
    """Over the ranks, one outer product after another."""
    given = inputs(torch.float64)
    torch.testing.assert_close(tensor_train(**given), table(**given)[given["index"], :D])


def test_the_logits_are_products_with_the_table():
    """The tied head uses the same rows as the look-up."""
    given = inputs(torch.float64)
    hidden = torch.randn(2, 3, D, dtype=torch.float64)
    logits = tensor_train_logits(hidden, given["core1"], given["core2"], given["phase"], V)
    torch.testing.assert_close(logits, hidden @ table(**given)[:V, :D].mT)


def test_the_logits_do_not_depend_on_the_chunks(monkeypatch):
    """Nor does the last, shorter chunk differ."""
    given = inputs(torch.float64)
    cores = given["core1"], given["core2"], given["phase"]
    hidden = torch.randn(5, D, dtype=torch.float64)
    whole = tensor_train_logits(hidden, *cores, V)
    monkeypatch.setattr(reference, "CHUNK", 2)
    torch.testing.assert_close(tensor_train_logits(hidden, *cores, V), whole)


def test_the_definition_has_the_gradients_of_finite_differences():
    """For cores and phases, in double precision."""
    index, *cores, width = inputs(torch.float64).values()
    cores = [core.requires_grad_() for core in cores]
    assert torch.autograd.gradcheck(lambda *x: tensor_train(index, *x, width), cores)


def test_the_logits_have_the_gradients_of_finite_differences():
    """For hidden states, cores and phases, in double precision."""
    _, *cores, width = inputs(torch.float64).values()
    hidden = torch.randn(2, width, dtype=torch.float64)
    given = [x.requires_grad_() for x in (hidden, *cores)]
    assert torch.autograd.gradcheck(lambda *x: tensor_train_logits(*x, V), given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sizes", [{}, {"tokens": 1, "vocabulary": 1, "width": 1, "r": 1}, {"width": 290, "r": 17}])
def test_the_kernel_agrees_with_the_definition(dtype, sizes):
    """Embeddings and every gradient; single elements, and more than one tile."""
    found = excesses(tensor_train, reference.tensor_train, inputs(dtype, **sizes))
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_forms_a_tall_embedding_in_several_programs(monkeypatch):
    """Each forms some of its rows."""
    from kernels.tensor_train import kernel

    monkeypatch.setattr(kernel, "ROWS", 16)
    found = excesses(tensor_train, reference.tensor_train, inputs(width=400))
    assert all(ratio <= K for ratio in found.values()), found


def test_the_kernel_takes_strided_inputs():
    """Transposed and stepped views are no special case."""
    given = inputs()
    given |= {name: given[name].mT.contiguous().mT for name in ("core1", "core2")}
    given["index"] = given["index"].repeat_interleave(2)[::2]
    found = excesses(tensor_train, reference.tensor_train, given)
    assert all(ratio <= K for ratio in found.values()), found


def test_a_repeated_token_collects_every_gradient():
    """In any integer type, and any shape."""
    given = inputs() | {"index": torch.tensor([[3, 3], [3, 7]], dtype=torch.int32)}
    found = excesses(tensor_train, reference.tensor_train, given)
    assert all(ratio <= K for ratio in found.values()), found


def test_no_tokens_give_no_embeddings():
    """The shape is kept."""
    given = inputs() | {"index": torch.empty(0, 2, dtype=torch.int64)}
    assert tensor_train(**given).shape == (0, 2, D)


@pytest.mark.parametrize("wrong", [-1, 12])
def test_a_token_outside_the_table_is_not_hidden(wrong):
    """The definition refuses it, and the kernel's row is NaN; its neighbour is right."""
    given = inputs() | {"index": torch.tensor([wrong, 2])}
    rows = tensor_train(**given)
    assert rows[0].isnan().all()
    assert rows[1].isfinite().all()
    with pytest.raises(IndexError):
        reference.tensor_train(**given)


def test_the_operator_meets_every_contract_of_a_custom_operator():
    """Schema, fake rule, autograd registration and tracing."""
    given = inputs()
    cores = (given[name].requires_grad_() for name in ("core1", "core2"))
    torch.library.opcheck(autograd.tensor_train, (given["index"], *cores, D))


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        core = torch.empty(200, 16, 64, dtype=torch.bfloat16)
        index = torch.empty(2, 99, dtype=torch.int64)
        rows = tensor_train(index, core, core, torch.empty(16, dtype=torch.bfloat16), 4000)
    assert (rows.shape, rows.dtype) == ((2, 99, 4000), torch.bfloat16)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 21}, "width is 21; the cores allow 1 to 20"),
        ({"index": torch.ones(2, dtype=torch.int16)}, "index is torch.int16"),
        ({"phase": torch.ones(3).half()}, "dtypes differ"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(changes, said):
    """What was given, and what is allowed."""
    with pytest.raises(ValueError, match=said):
        tensor_train(**inputs() | changes)


def test_a_vocabulary_beyond_the_cores_is_refused():
    """The cores have no row for it."""
    given = inputs()
    with pytest.raises(ValueError, match="vocabulary is 13; the cores allow 1 to 12"):
        tensor_train_logits(torch.ones(2, D), given["core1"], given["core2"], given["phase"], 13)
