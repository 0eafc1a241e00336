"""Phase 8's attention has three modes by curvature, and one curvature per layer."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from kernels.linear_attention import linear_attention, reference
from muse.memory.card import card
from muse.memory.tracker import Tracker
from muse.models import build, phase8
from muse.models.phase8 import Config, TangentSpaceLinearAttention
from muse.nn.hyperbolic import exp0
from muse.nn.lowrank import SIZES
from muse.nn.shape import Shape

SHAPE = Shape(d_model=12, layers=1, heads=3, vocabulary=50)
MODES = {"linear": 0.01, "hybrid": 0.7, "exact": 1.5}


def layer(curvature: float, *, causal: bool = False) -> TangentSpaceLinearAttention:
    """Return one attention layer in float64, the same weights each time."""
    torch.manual_seed(0)
    attention = TangentSpaceLinearAttention(Config(SHAPE, curvature, causal=causal)).double()
    nn.init.constant_(attention.curvature, curvature)
    return attention


def heads(n: int = 6) -> list[Tensor]:
    """Return queries, keys and values of two sequences."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, n, 4, dtype=torch.float64, generator=generator) for _ in range(3)]


def tokens(n: int = 6) -> Tensor:
    """Return two sequences of tokens, inside the ball of every curvature used here."""
    return 0.1 * torch.randn(2, n, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def linear_part(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the linear mode's result."""
    return linear_attention(nn.functional.elu(q) + 1, nn.functional.elu(k) + 1, v)


def exact_part(q: Tensor, k: Tensor, v: Tensor, c: Tensor) -> Tensor:
    """Return softmax(-d_c(q, k)) v, one pair of tokens at a time, in the textbook's formula."""
    q, k = exp0(q, c), exp0(k, c)
    out = torch.zeros_like(v)
    for b, h, n in torch.cartesian_prod(*(torch.arange(s) for s in q.shape[:3])).tolist():
        x = q[b, h, n]
        scores = []
        for y in k[b, h]:
            u = 2 * c * ((x - y) @ (x - y)) / ((1 - c * x @ x) * (1 - c * y @ y))
            scores.append(-torch.acosh(1 + u) / c.sqrt())
        out[b, h, n] = torch.softmax(torch.stack(scores), 0) @ v[b, h]
    return out


def test_the_measured_network_runs_the_definition_and_no_kernel():
    """As the documents' network did, wherever Triton is installed."""
    assert phase8.linear_attention is reference.linear_attention


@pytest.mark.parametrize("size", SIZES)
def test_a_preset_has_one_parameter_per_layer_more_than_phase_7(size):
    """The curvature is all that its attention adds."""
    with torch.device("meta"):
        counts = [sum(p.numel() for p in build(f"phase{n}_{size}").parameters()) for n in (7, 8)]
    assert counts[1] - counts[0] == SIZES[size].layers


@pytest.mark.parametrize(("size", "layers"), [("maximum", 32), ("large", 48), ("deep", 64), ("standard", 48)])
def test_a_preset_has_the_documented_number_of_layers(size, layers):
    """As the documents' table says."""
    assert SIZES[size].layers == layers


def test_attention_has_as_many_parameters_as_its_formula():
    """4 d^2 + 4 d + 1."""
    assert sum(p.numel() for p in layer(0.01).parameters()) == 4 * 12**2 + 4 * 12 + 1


@pytest.mark.parametrize(
    ("curvature", "share"),
    [(0.0, 0), (0.01, 0), (0.1, 0), (0.54, 0), (0.56, 0.46 / 0.9), (1.0, 1), (1.01, 1), (9.0, 1)],
)
def test_the_exact_share_at_its_thresholds(curvature, share):
    """Linear below 0.1 and until the share exceeds one half, exact from 1.0."""
    assert layer(0.01).exact_share(curvature) == pytest.approx(share, abs=1e-15)


def test_the_exact_share_at_half_is_decided_by_rounding():
    """At 0.55 the share is (0.55 - 0.1) / 0.9, which floating point puts one rounding above one half."""
    assert layer(0.01).exact_share(0.55) == 0.5000000000000001


def test_the_linear_mode_is_linear_attention_of_positive_features():
    """At the documents' curvature of 0.01 no distance is computed."""
    torch.testing.assert_close(layer(0.01).mix(*heads()), linear_part(*heads()))


@pytest.mark.parametrize("c", [1.0, 1.5])
def test_the_exact_mode_is_softmax_of_distances(c):
    """It equals the weights formed one pair at a time."""
    attention = layer(c)
    torch.testing.assert_close(attention.mix(*heads()), exact_part(*heads(), attention.curvature))


@pytest.mark.parametrize("c", [0.56, 0.7, 0.99])
def test_the_hybrid_mode_mixes_the_two_by_share(c):
    """(1 - s) linear + s exact, with s = (c - 0.1) / 0.9."""
    attention, share = layer(c), (c - 0.1) / 0.9
    expected = (1 - share) * linear_part(*heads()) + share * exact_part(*heads(), attention.curvature)
    torch.testing.assert_close(attention.mix(*heads()), expected)


@pytest.mark.parametrize("c", [0.1, 0.3, 0.54])
def test_below_half_the_hybrid_mode_is_linear_alone(c):
    """As measured, a small exact share is dropped, not mixed in."""
    torch.testing.assert_close(layer(c).mix(*heads()), linear_part(*heads()))


@pytest.mark.parametrize("c", MODES.values(), ids=MODES)
def test_the_sign_of_the_curvature_does_not_matter(c):
    """The parameter is free to cross zero; its size is the curvature."""
    torch.testing.assert_close(layer(-c)(tokens()), layer(c)(tokens()))


def test_the_mode_follows_the_learned_curvature():
    """It is the parameter that selects the mode, not the value it started at."""
    attention, x = layer(0.01), tokens()
    before = attention(x)
    with torch.no_grad():
        attention.curvature.fill_(1.5)
    torch.testing.assert_close(attention(x), layer(1.5)(x))
    assert not torch.allclose(attention(x), before)


@pytest.mark.parametrize("c", MODES.values(), ids=MODES)
def test_a_causal_token_does_not_see_later_ones(c):
    """In no mode does the output before a changed token change."""
    attention, x = layer(c, causal=True), tokens()
    changed = x.clone()
    changed[:, 4:] *= -2
    torch.testing.assert_close(attention(changed)[:, :4], attention(x)[:, :4])


@pytest.mark.parametrize("c", MODES.values(), ids=MODES)
def test_a_causal_token_sees_itself_and_earlier_ones(c):
    """The last token's output is that of the network without a mask."""
    x = tokens()
    torch.testing.assert_close(layer(c, causal=True)(x)[:, -1], layer(c)(x)[:, -1])


@pytest.mark.parametrize("c", MODES.values(), ids=MODES)
def test_without_a_mask_order_does_not_matter(c):
    """There are no positions: permuted tokens give permuted outputs."""
    attention, x, order = layer(c), tokens(), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])


@pytest.mark.parametrize("c", MODES.values(), ids=MODES)
def test_every_parameter_is_trained(c):
    """A backward pass reaches every parameter with finite numbers that are not all zero."""
    attention = layer(c)
    (attention(tokens()) ** 3).sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in attention.parameters())


def test_the_whole_layer_is_its_steps_written_out():
    """To the tangent space, through the heads, and back to the ball, with both caps of the measured network."""
    attention, c = layer(0.01), torch.tensor(0.01, dtype=torch.float64)
    x = tokens() * torch.tensor([0.1, 2, 10, 300, 1e3, 1e4], dtype=torch.float64)[:, None]
    n = x.norm(dim=-1, keepdim=True).clamp(1e-6, 0.999)
    tangent = torch.atanh(c.sqrt() * n) / (c.sqrt() * n) * x
    split = [m(tangent).view(2, 6, 3, 4).transpose(1, 2) for m in (attention.query, attention.key, attention.value)]
    out = attention.out(linear_part(*split).transpose(1, 2).reshape(2, 6, 12))
    n = out.norm(dim=-1, keepdim=True).clamp(1e-6, 15)
    torch.testing.assert_close(attention(x), torch.tanh(c.sqrt() * n) / (c.sqrt() * n) * out)


def test_without_data_the_configured_curvature_selects_the_mode():
    """A fake parameter has no value, so the configuration stands for it: the hybrid mode makes N x N scores."""
    sizes = {}
    for name, c in MODES.items():
        with FakeTensorMode(), Tracker(card("h100"), 0) as tracker:
            torch.no_grad()(TangentSpaceLinearAttention(Config(SHAPE, c)))(torch.randn(1, 1000, 12))
        sizes[name] = tracker.peak.total()
    scores = 3 * 1000**2 * 4
    assert sizes["linear"] < scores < sizes["exact"]
    assert scores < sizes["hybrid"]


def test_the_brute_force_of_one_token_is_its_value():
    """A token alone attends to itself: a check of this file's own formulation."""
    q, k, v = (t[:, :, :1] for t in heads())
    torch.testing.assert_close(exact_part(q, k, v, torch.tensor(1.5, dtype=torch.float64)), v)
