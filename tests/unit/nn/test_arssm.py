"""The AR-SSM is a convolution over three tokens and a running sum."""

import pytest
import torch
from torch import Tensor

from muse.nn.arssm import ARSSM


def layer() -> ARSSM:
    """Return a layer of width 12 and rank 3 in float64, the same each time."""
    torch.manual_seed(0)
    return ARSSM(12, 3).double()


def tokens(n: int = 5) -> Tensor:
    """Return two sequences."""
    return torch.randn(2, n, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def loop(ssm: ARSSM, x: Tensor) -> Tensor:
    """Return the layer's result for one sequence, one token at a time."""
    enter, _, leave, _ = ssm.gate
    weights, state, out = ssm.near.weight[:, 0], torch.zeros(3, dtype=torch.float64), []
    for t, token in enumerate(x):
        g = torch.sigmoid(leave.weight @ (enter.weight @ token + enter.bias).clamp(min=0) + leave.bias)
        state = state + (ssm.u.weight @ token) * g
        y = ssm.out.weight @ (state * (ssm.v.weight @ token) * g) + ssm.out.bias
        for offset in (-1, 0, 1):
            if 0 <= t + offset < len(x):
                y = y + weights[:, 1 + offset] * x[t + offset]
        out.append(y)
    return torch.stack(out)


@pytest.mark.parametrize(("rank", "expected"), [(4, 74_372), (8, 81_032), (16, 94_352), (32, 120_992)])
def test_it_has_the_known_number_of_parameters_at_width_512(rank, expected):
    """Half the rank of 8 removes 6,660 of them and no more: most are the gate's."""
    d, h = 512, 128
    formula = d * h + h + h * rank + rank + 2 * d * rank + 3 * d + rank * d + d
    with torch.device("meta"):
        assert sum(p.numel() for p in ARSSM(d, rank).parameters()) == formula == expected


def test_the_gate_is_most_of_the_smallest_measured_layer():
    """400,176 of six layers' 486,192 parameters, whatever the rank of the state."""
    with torch.device("meta"):
        assert 6 * sum(p.numel() for p in ARSSM(512, 8).gate.parameters()) == 400_176


@pytest.mark.parametrize("n", [1, 2, 5])
def test_it_is_a_loop_over_tokens(n):
    """One token at a time gives the same numbers."""
    ssm, x = layer(), tokens(n)
    torch.testing.assert_close(ssm(x), torch.stack([loop(ssm, sequence) for sequence in x]))


def test_it_sees_one_token_ahead_and_no_further():
    """It is not causal, but almost."""
    ssm, x = layer(), tokens()
    changed = x.clone()
    changed[:, 3] += 1
    same = torch.isclose(ssm(changed), ssm(x)).all(-1).all(0)
    assert same.tolist() == [True, True, False, False, False]


def test_it_starts_near_zero_in_its_projections():
    """U, V and the convolution are small, the output is not."""
    torch.manual_seed(0)
    ssm = ARSSM(512, 32)
    assert ssm.u.weight.abs().max() <= 0.02 * (6 / 544) ** 0.5
    assert ssm.v.weight.abs().max() <= 0.02 * (6 / 544) ** 0.5
    assert ssm.near.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert ssm.out.weight.abs().max().item() == pytest.approx((6 / 544) ** 0.5, rel=0.01)


def test_every_parameter_is_trained():
    """A backward pass reaches every parameter with finite numbers that are not all zero."""
    ssm = layer()
    ssm(tokens()).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in ssm.parameters())
