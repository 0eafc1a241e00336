"""A workload is checked when it is stated, and is the same on every device."""

import pytest
import torch
from torch import nn

from muse.errors import UsageError
from muse.memory.optimizers import OPTIMIZERS
from muse.memory.workload import DTYPES, Workload, making

CPU = torch.device("cpu")


class Model(nn.Sequential):
    """Embedding and head of 11 tokens."""

    def __init__(self) -> None:
        super().__init__(nn.Embedding(11, 4), nn.Linear(4, 11))


def workload(**stated) -> Workload:
    """Return a workload of that model."""
    return Workload(Model, 11, **{"tokens": 5, "dtype": "float32", **stated})


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"tokens": 0}, "tokens must be at least 1, not 0"),
        ({"tokens": -3}, "tokens must be at least 1, not -3"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"tokens": 1, "train": True}, "training predicts the next token, so tokens must be at least 2"),
        ({"optimizer": "lion"}, f"unknown optimizer 'lion'; allowed are {', '.join(OPTIMIZERS)}"),
        ({"loss": "mean"}, "unknown loss 'mean'; allowed are cross_entropy, sum"),
        ({"dtype": "float8"}, "unknown dtype 'float8'; allowed are float32, float16, bfloat16"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(stated, told):
    """The message says what is allowed."""
    with pytest.raises(UsageError) as caught:
        workload(**stated)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("stated", "casts"),
    [
        ({"dtype": "float16"}, True),
        ({"dtype": "bfloat16"}, True),
        ({"dtype": "float32"}, False),
        ({"dtype": "float16", "train": True}, True),
        ({"dtype": "float32", "train": True}, False),
        ({"dtype": "float16", "autocast": False}, False),
    ],
)
def test_autocast_is_for_half_precision(stated, casts):
    """Float32 runs without it, and so does whatever says so."""
    assert workload(**stated).casts is casts


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_model_is_made_in_its_dtype(dtype):
    """No copy in another dtype is made on the way."""
    assert {p.dtype for p in workload(dtype=dtype).place(CPU).parameters()} == {DTYPES[dtype]}


@pytest.mark.parametrize("train", [True, False])
def test_the_model_is_in_the_mode_of_its_step(train):
    """A forward pass is run as in evaluation."""
    assert workload(train=train).place(CPU).training is train


def test_the_model_is_made_on_its_device():
    """On the meta device no memory is touched."""
    assert {p.device.type for p in workload().place(torch.device("meta")).parameters()} == {"meta"}


def test_the_default_dtype_is_restored_after_a_failure():
    """A model that cannot be built leaves nothing behind."""
    with pytest.raises(ZeroDivisionError), making(CPU, "float16"):
        _ = 1 / 0
    assert torch.get_default_dtype() is torch.float32


def test_ids_are_the_same_every_time():
    """Every card sees the same tokens."""
    assert torch.equal(workload().ids(CPU), workload().ids(CPU))


def test_ids_have_the_stated_size_and_are_in_the_vocabulary():
    """Batch by tokens, each below the vocabulary's size."""
    ids = workload(batch=3, tokens=200).ids(CPU)
    assert (tuple(ids.shape), int(ids.min()), int(ids.max())) == ((3, 200), 0, 10)


def test_inference_has_no_optimizer():
    """A forward pass trains nothing, whatever optimizer is named, and leaves the parameters as they are."""
    stated = workload(optimizer="adamw_in_backward")
    model = Model()
    before = [p.detach().clone() for p in model.parameters()]
    updates = stated.updates(model)
    stated.step(model, stated.ids(CPU), updates)
    assert updates.state() == []
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def test_inference_keeps_no_graph():
    """Nothing is kept for a backward pass."""
    assert workload().forward(Model(), workload().ids(CPU)).requires_grad is False


def stepped(loss):
    """Return the head's gradient in one step with `loss`, the model and its ids."""
    torch.manual_seed(0)
    stated = workload(train=True, batch=2, loss=loss, optimizer="none")
    model, ids, seen = Model(), stated.ids(CPU), []
    model[1].weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    stated.step(model, ids, stated.updates(model))
    return seen[0], model, ids


def test_the_loss_is_that_of_the_next_token():
    """Position n is scored by token n + 1, and the last position by nothing."""
    found, model, ids = stepped("cross_entropy")
    logs = model(ids).log_softmax(-1)
    scores = [-logs[b, n, ids[b, n + 1]] for b in range(2) for n in range(4)]
    [expected] = torch.autograd.grad(torch.stack(scores).mean(), model[1].weight)
    torch.testing.assert_close(found, expected)


def test_the_loss_may_be_the_sum_of_the_logits():
    """As two documents had it: every logit counts alike."""
    found, model, ids = stepped("sum")
    [expected] = torch.autograd.grad(model(ids).sum(), model[1].weight)
    torch.testing.assert_close(found, expected)


def test_one_token_is_enough_for_the_sum_of_the_logits():
    """It predicts nothing, so nothing has to follow."""
    assert workload(tokens=1, train=True, loss="sum").tokens == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_through_float32_ends_in_its_dtype(dtype):
    """The start is drawn in float32, and then rounded."""
    torch.manual_seed(0)
    wide = workload(dtype="float32").place(CPU)
    torch.manual_seed(0)
    stated = workload(dtype=dtype, through_float32=True)
    narrow = stated.place(CPU)
    assert stated.converts is (dtype != "float32")
    for a, b in zip(wide.parameters(), narrow.parameters(), strict=True):
        assert torch.equal(a.to(DTYPES[dtype]), b)


def test_a_training_step_moves_every_parameter_and_frees_the_gradients():
    """Backward, AdamW, and gradients set to nothing."""
    stated = workload(train=True, tokens=200)
    model = stated.place(CPU)
    before = [p.detach().clone() for p in model.parameters()]
    stated.step(model, stated.ids(CPU), stated.updates(model))
    assert all(not torch.equal(p, old) and p.grad is None for p, old in zip(model.parameters(), before, strict=True))
