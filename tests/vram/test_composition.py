"""Every operator within what users put around it: the compiler, checkpoints, autocast and CUDA graphs."""

from typing import get_args

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from muse.probes.given import Operator
from muse.probes.operators import operator

pytestmark = [
    pytest.mark.gpu,
    # The compiler's advice on what is around an operator: float32 products, and complex numbers.
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores", "ignore:Torchinductor does not support"),
]
every = pytest.mark.parametrize("name", get_args(Operator))


def results(inputs, name, through=lambda function: function):
    """Return the output of an operator, called `through` something on its first case, and its gradients."""
    case = next(iter(operator(name).cases.values()))
    given = {key: x.requires_grad_() if _floats(x) else x for key, x in inputs(case, torch.float32).items()}
    out = through(operator(name).call)(**given)
    wanted = [x for x in given.values() if _floats(x)]
    return [out.detach(), *torch.autograd.grad(out, wanted, torch.ones_like(out))]


def _floats(x):
    return torch.is_tensor(x) and (x.is_floating_point() or x.is_complex())


def _assert_near(found, wanted, share):
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert float((one - other).abs().max()) <= share * float(other.abs().max())


@pytest.mark.compiles
@every
def test_the_compiler_sees_one_graph_and_gives_the_same(inputs, compiled, name):
    """No operator breaks a user's graph in two."""
    _assert_near(results(inputs, name, compiled), results(inputs, name), 1e-4)


@every
def test_a_checkpoint_gives_the_same(inputs, name):
    """The pass that is computed again is the one that was forgotten."""

    def forgetful(function):
        return lambda **given: checkpoint(function, **given, use_reentrant=False)

    _assert_near(results(inputs, name, forgetful), results(inputs, name), 1e-4)


@every
def test_autocast_changes_precision_alone(inputs, device, name):
    """A gradient has its input's type, whatever the products were made in."""

    def cast(function):
        return torch.autocast(device, torch.bfloat16)(function)

    out, *gradients = results(inputs, name)
    cast_out, *cast_gradients = results(inputs, name, cast)
    _assert_near([cast_out.to(out.dtype), *cast_gradients], [out, *gradients], 0.05)


@every
def test_a_graph_replays_it(inputs, graphed, name):
    """What it launches depends on no number that the CPU would have to read."""
    case = next(iter(operator(name).cases.values()))
    given = inputs(case, torch.float32)
    with torch.no_grad():
        wanted = operator(name).call(**given)
        _assert_near([graphed(lambda: operator(name).call(**given))], [wanted], 1e-4)
