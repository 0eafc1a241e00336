"""The tensor-train table: the definition is the explicit sum, and the kernel agrees with it."""

import inspect
import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import tensor_train, tensor_train_logits
from kernels.case import excesses
from kernels.tensor_train import autograd, reference, sizes
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


def headed(tokens, vocabulary=V, width=D, r=3, dtype=torch.float32):
    """Hidden states, cores and phases."""
    given = inputs(dtype, 1, vocabulary, width, r)
    hidden = torch.randn(tokens, width, generator=torch.Generator().manual_seed(1)).to(dtype)
    return hidden, given["core1"], given["core2"], given["phase"]


def flat(hidden, core1, core2, vocabulary):
    """The definition of the logits of phases that are already in the first core."""
    return reference.tensor_train_logits(hidden, core1, core2, core1.new_zeros(core1.shape[1]), vocabulary)


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
    from kernels.tensor_train import launch

    monkeypatch.setattr(launch, "ROWS", 16)
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


def test_tokens_are_found_in_every_chunk_and_slot(monkeypatch):
    """Whose last ones are not full, and some of which are empty."""
    monkeypatch.setattr(sizes, "CHUNK", 32)
    monkeypatch.setattr(sizes, "SLOT", 4)
    found = excesses(tensor_train, reference.tensor_train, inputs(tokens=75))
    assert all(ratio <= K for ratio in found.values()), found


def test_no_tokens_give_no_embeddings_and_no_gradients():
    """The shape is kept."""
    given = inputs() | {"index": torch.empty(0, 2, dtype=torch.int64)}
    cores = [given[name].requires_grad_() for name in ("core1", "core2", "phase")]
    rows = tensor_train(**given)
    assert rows.shape == (0, 2, D)
    for gradient in torch.autograd.grad(rows, cores, rows):
        assert (gradient == 0).all()


@pytest.mark.parametrize("wrong", [-1, 12])
def test_a_token_outside_the_table_is_not_hidden(wrong):
    """The definition refuses it, and the kernel's row is NaN; its neighbour is right."""
    given = inputs() | {"index": torch.tensor([wrong, 2])}
    rows = tensor_train(**given)
    assert rows[0].isnan().all()
    assert rows[1].isfinite().all()
    with pytest.raises(IndexError):
        reference.tensor_train(**given)


@pytest.mark.parametrize("wrong", [-1, 12])
def test_a_token_outside_the_table_has_no_gradient(wrong):
    """Nothing is written beside the cores' gradients, which are those of the other tokens."""
    found = []
    for index in ([wrong, 2, wrong], [2]):
        given = inputs() | {"index": torch.tensor(index)}
        cores = [given[name].requires_grad_() for name in ("core1", "core2", "phase")]
        rows = tensor_train(**given)
        found.append(torch.autograd.grad(rows, cores, torch.ones_like(rows)))
    torch.testing.assert_close(*found)


def test_the_operator_meets_every_contract_of_a_custom_operator():
    """Schema, fake rule, autograd registration and tracing."""
    given = inputs()
    cores = (given[name].requires_grad_() for name in ("core1", "core2", "phase"))
    torch.library.opcheck(autograd.tensor_train, (given["index"], *cores, D))


def test_the_logits_meet_every_contract_of_a_custom_operator(monkeypatch):
    """With rows that start at multiples of 64 elements; a symbolic size is no `int` to a type checker."""
    monkeypatch.setattr(sizes, "rows", inspect.unwrap(sizes.rows))
    given = [x.requires_grad_() for x in headed(4)[:3]]
    torch.library.opcheck(autograd.logits, (*given, V))


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(D,), (2, 3, D)])
def test_the_logits_kernel_agrees_with_the_definition(dtype, shape):
    """Logits and every gradient, of one token and of several."""
    hidden, core1, core2, phase = headed(6, dtype=dtype)
    hidden = hidden.flatten()[: math.prod(shape)].reshape(shape)
    given = {"hidden": hidden, "core1": core1, "core2": core2, "phase": phase, "vocabulary": V}
    found = excesses(tensor_train_logits, reference.tensor_train_logits, given)
    assert all(ratio <= K for ratio in found.values()), found


@pytest.mark.parametrize(
    ("vocabulary", "width", "r"),
    [
        (1, 1, 1),
        (V, D, 3),
        (16900, 13, 3),  # more than one tile of i1, and of what a core's gradient adds up
        (66300, 6, 2),  # and of i2
        (8000, 4500, 1),  # columns beyond 64, for which tiles are smaller
    ],
)
def test_the_logits_kernel_agrees_in_single_precision(monkeypatch, vocabulary, width, r):
    """Tile by tile, and chunk by chunk of tokens."""
    monkeypatch.setattr(sizes, "ROWS", 2)
    hidden, core1, core2, _ = headed(3, vocabulary, width, r)
    core1 = core1[: -(-vocabulary // len(core2))]
    given = {"hidden": hidden, "core1": core1, "core2": core2, "vocabulary": vocabulary}
    found = excesses(autograd.logits, flat, given)
    assert all(ratio <= K for ratio in found.values()), found


def test_rows_of_the_table_beyond_the_vocabulary_have_no_gradient():
    """Nor does a sum, whose gradient is one number for all logits, need them laid out."""
    hidden, *cores = (x.bfloat16().requires_grad_() for x in headed(3))
    logits = tensor_train_logits(hidden, *cores, 4)
    of_hidden, of_core1, *_ = torch.autograd.grad(logits.sum(), (hidden, *cores))
    assert (of_core1[2:] == 0).all()
    assert (of_core1[:2] != 0).any()
    rows = table(*(x.detach().double() for x in cores))[:4, :D]
    torch.testing.assert_close(of_hidden[0].double(), rows.sum(0), rtol=0.05, atol=0.05)


def test_no_hidden_states_have_no_logits_and_give_no_gradients():
    """The shape is kept."""
    given = [x.bfloat16().requires_grad_() for x in headed(0)]
    logits = tensor_train_logits(*given, V)
    assert logits.shape == (0, V)
    for gradient in torch.autograd.grad(logits.sum(), given):
        assert (gradient == 0).all()


@pytest.mark.parametrize(
    ("dtype", "width", "runs"), [(torch.float32, D, False), (torch.bfloat16, D, True), (torch.bfloat16, 129**2, False)]
)
def test_the_logits_kernel_runs_in_half_precision_on_cores_that_fit(monkeypatch, dtype, width, runs):
    """The definition's products elsewhere."""
    given = headed(1, width=width, dtype=dtype)
    called = []
    monkeypatch.setattr(reference, "tensor_train_logits", lambda *x: called.append(x) or torch.zeros(1, V))
    tensor_train_logits(*given, V)
    assert bool(called) is not runs


def test_fake_tensors_show_the_logits_without_computing():
    """Their rows start at multiples of 64 elements."""
    with FakeTensorMode():
        core = torch.empty(9, 16, 64, dtype=torch.bfloat16)
        logits = tensor_train_logits(core.new_empty(2, 5, 4000), core, core, core.new_empty(16), 75)
    assert (logits.shape, logits.stride(), logits.dtype) == ((2, 5, 75), (640, 128, 1), torch.bfloat16)
