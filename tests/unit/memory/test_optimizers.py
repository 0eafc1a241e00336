"""Every optimizer updates as its name says, and keeps what its name promises."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import AdamW

from muse.errors import UsageError
from muse.memory.optimizers import MAKERS, OPTIMIZERS, AdamW8bit, Updates
from muse.probes.given import Optimizer

IN_BACKWARD = [f"{name}_in_backward" for name in MAKERS]


def network() -> nn.Sequential:
    """Return the same two maps every time, with parameters of 2, 12, 300 and 1800 numbers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 300), nn.Tanh(), nn.Linear(300, 2))


def loss(model: nn.Module) -> torch.Tensor:
    """Return how far the network is from a fixed function of fixed inputs."""
    x = torch.linspace(-1, 1, 240).view(40, 6)
    return (model(x) - torch.stack((x.sum(1), x.prod(1)), 1)).square().mean()


def stepped(name: str, steps: int = 1) -> tuple[nn.Module, Updates]:
    """Return the network after some steps of an optimizer."""
    model = network()
    updates = Updates(name, model.parameters())
    for _ in range(steps):
        loss(model).backward()
        updates.step()
        model.zero_grad()
    return model, updates


def flat(model: nn.Module) -> torch.Tensor:
    """Return all parameters in a row."""
    return torch.cat([p.detach().view(-1) for p in model.parameters()])


def distance(a: nn.Module, b: nn.Module) -> float:
    """Return the largest difference between two networks' parameters."""
    return (flat(a) - flat(b)).abs().max().item()


def updated(parameter: Parameter, *gradients: torch.Tensor, **options: float) -> torch.Tensor:
    """Return the parameter after one step of 8-bit AdamW for each gradient."""
    optimizer = AdamW8bit([parameter], **options)
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
    return parameter.detach()


def test_the_probes_know_the_same_optimizers():
    """What a claim may name is what can be run, in the same order."""
    assert get_args(Optimizer) == OPTIMIZERS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_named_optimizer_moves_every_parameter(name):
    """All but `none`, which moves none."""
    before, (after, _) = network(), stepped(name)
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert [torch.equal(p, q) for p, q in pairs] == [name == "none"] * 4


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "none"])
def test_every_named_optimizer_lowers_the_loss(name):
    """Ten steps of a small rate are enough to see it."""
    assert loss(stepped(name, steps=10)[0]) < loss(network())


@pytest.mark.parametrize("name", MAKERS)
def test_updating_in_backward_gives_the_same_parameters(name):
    """No parameter's update looks at another's gradient."""
    assert distance(stepped(name, steps=3)[0], stepped(f"{name}_in_backward", steps=3)[0]) == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_backward_no_gradient_outlives_the_backward_pass(name):
    """Otherwise all of them do, until the step is over."""
    model = network()
    updates = Updates(name, model.parameters())
    loss(model).backward()
    assert [p.grad is None for p in model.parameters()] == [name in IN_BACKWARD] * 4
    assert updates.keeps_gradients is (name not in IN_BACKWARD)


def test_an_unknown_optimizer_is_refused_in_one_line():
    """It says what is allowed."""
    with pytest.raises(UsageError) as caught:
        Updates("lion", [])
    assert str(caught.value) == f"unknown optimizer 'lion'; allowed are {', '.join(OPTIMIZERS)}"


@pytest.mark.parametrize("suffix", ["", "_in_backward"])
@pytest.mark.parametrize(("name", "per_parameter"), [("none", 0), ("sgd", 0), ("adamw", 8)])
def test_the_state_is_what_is_kept_per_parameter(name, per_parameter, suffix):
    """Two moments in float32, or nothing; the counts of steps are apart."""
    _, updates = stepped(name if name == "none" else name + suffix)
    count = sum(p.numel() for p in network().parameters())
    assert sum(t.nbytes for t in updates.state()) == per_parameter * count
    assert [t.numel() for t in updates.counts()] == [1] * (4 if name == "adamw" else 0)


def test_the_state_of_adafactor_is_a_row_and_a_column():
    """Of each matrix; a vector keeps a number per entry."""
    _, updates = stepped("adafactor")
    assert sorted(t.numel() for t in updates.state()) == sorted([300, 6, 300, 2, 300, 2])


@pytest.mark.parametrize(("size", "blocks"), [(256, 1), (2560, 10), (1, 1), (257, 2)])
def test_8_bit_adamw_keeps_two_bytes_and_a_share_of_two_scales(size, blocks):
    """2 + 8 / 256 bytes per parameter, in whole blocks of 256."""
    weights = Parameter(torch.zeros(size))
    updates = Updates("adamw8bit", [weights])
    weights.grad = torch.ones(size)
    updates.step()
    assert sum(t.nbytes for t in updates.state()) == blocks * (2 * 256 + 8)


def test_the_first_step_of_8_bit_adamw_is_adamw_s():
    """Nothing has been rounded yet."""
    assert distance(stepped("adamw8bit")[0], stepped("adamw")[0]) < 1e-8


def test_8_bit_adamw_follows_adamw_within_its_quantisation():
    """After fifty steps it is a quarter of the way from AdamW at most, and its loss the same to a hundredth."""
    start, exact, rounded = network(), stepped("adamw", steps=50)[0], stepped("adamw8bit", steps=50)[0]
    assert 0 < (flat(exact) - flat(rounded)).norm() < 0.25 * (flat(exact) - flat(start)).norm()
    assert (loss(rounded) / loss(exact)).item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000])
def test_a_parameter_of_any_size_is_updated_to_its_last_entry(size):
    """A block that is not full changes nothing for those in it."""
    gradient = torch.linspace(0.5, 1, size)
    mine, other = Parameter(torch.ones(size)), Parameter(torch.ones(size))
    other.grad = gradient
    AdamW([other]).step()
    torch.testing.assert_close(updated(mine, gradient), other.detach())


def test_slices_change_nothing(monkeypatch):
    """They bound the temporaries alone."""
    gradients = [torch.linspace(-1, 1, 2000) * k for k in (1, 2, 3)]
    whole = updated(Parameter(torch.ones(2000)), *gradients)
    monkeypatch.setattr(AdamW8bit, "SLICE", 512)
    assert torch.equal(updated(Parameter(torch.ones(2000)), *gradients), whole)


@pytest.mark.parametrize("strided", ["parameter", "gradient"])
def test_a_strided_parameter_is_updated_as_a_contiguous_one(strided):
    """However it lies in memory."""
    weights, gradient = torch.arange(24.0).view(4, 6), torch.linspace(-1, 1, 24).view(4, 6)
    expected = updated(Parameter(weights.clone()), gradient)
    if strided == "parameter":
        weights = weights.T.contiguous().T
    else:
        gradient = gradient.T.contiguous().T
    assert torch.equal(updated(Parameter(weights), gradient), expected)


def test_half_precision_is_updated_in_its_own_dtype():
    """The moments are those of float32, and the result is rounded once."""
    wide, narrow = (Parameter(torch.ones(300, dtype=dtype)) for dtype in (torch.float32, torch.float16))
    found = updated(narrow, torch.full((300,), 1e-4, dtype=torch.float16), lr=0.01)
    assert found.dtype is torch.float16
    torch.testing.assert_close(found.float(), updated(wide, torch.full((300,), 1e-4), lr=0.01), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("slope", [0, 1e-4])
def test_a_step_in_half_precision_leaves_finite_weights(name, slope):
    """Where there is no gradient, and where its square is no number of float16."""
    weight = nn.Parameter(torch.ones(4, 4, dtype=torch.float16))
    weight.grad = torch.full_like(weight, slope)
    MAKERS[name]([weight]).step()
    assert weight.isfinite().all()


def test_a_second_moment_too_small_for_its_byte_does_not_blow_up_the_update():
    """A neighbour's spike rounds it to nothing, and a step without a gradient would divide by it."""
    spike, usual, none = torch.tensor([1000.0, 1.0]), torch.tensor([0.0, 1.0]), torch.zeros(2)
    found = updated(Parameter(torch.zeros(2)), spike, *[usual] * 60, none, lr=1e-3)
    assert found.abs().max() < 62 * 10 * 1e-3


def test_a_parameter_without_a_gradient_is_left_alone():
    """It has no state either."""
    weights = Parameter(torch.ones(3))
    updates = Updates("adamw8bit", [weights])
    updates.step()
    assert (weights.tolist(), updates.state()) == ([1, 1, 1], [])
