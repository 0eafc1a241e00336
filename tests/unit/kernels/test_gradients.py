"""A backward pass makes nothing for outputs that have no gradient."""

from typing import get_args

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from muse.probes.given import Operator
from muse.probes.operators import operator


class Made(TorchDispatchMode):
    """Notes which operations fill new tensors with zeros."""

    def __init__(self):
        super().__init__()
        self.zeros = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "zeros" in func.__name__:
            self.zeros.append(args)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", get_args(Operator))
def test_what_is_not_differentiable_gets_no_zeros_on_the_way_back(small_inputs, name):
    """They would be as large as it: beside the gradients of linear cross-entropy, a second copy of them."""
    made = small_inputs(next(iter(operator(name).cases.values())), torch.float32)
    given = {key: x.requires_grad_() if torch.is_tensor(x) and x.is_floating_point() else x for key, x in made.items()}
    out = operator(name).call(**given)
    leaves = [x for x in given.values() if torch.is_tensor(x) and x.requires_grad]
    with Made() as seen:
        torch.autograd.grad(out, leaves, torch.ones_like(out), allow_unused=True)
    assert seen.zeros == []
