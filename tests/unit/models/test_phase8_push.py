"""The network whose size was computed and never built: the document's formula, and what can be built."""

import pytest
import torch
from torch import nn

from muse.errors import UsageError
from muse.models import build, config
from muse.models.phase8 import TangentSpaceLinearAttention
from muse.models.phase8_push import Config, documented_counts
from muse.models.phase8_push import build as push
from muse.nn.shape import Shape

FULL = {
    "embedding": 155_962_368,
    "attention": 1_509_949_440,
    "ffn": 3_019_898_880,
    "norms": 491_520,
    "head": 154_389_504,
}
SMALL = Shape(16, 2, 4, 50)
NETWORKS = pytest.mark.parametrize("compressed", [True, False])


def count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("compressed", "parts", "total"),
    [(False, FULL, 4_840_691_712), (True, FULL | {"embedding": 38_990_592, "ffn": 377_487_360}, 2_081_308_416)],
)
def test_the_formula_gives_the_documented_counts(compressed, parts, total):
    """Every row of the document's two tables, and their sums."""
    counts = documented_counts(config("phase8_push").shape, 512, compressed=compressed)
    assert counts == parts
    assert sum(counts.values()) == total


def test_the_dense_network_has_what_the_formula_leaves_out():
    """Biases of attention and feed-forward network, a curvature per layer and the final norm."""
    d, layers = 3072, 40
    left_out = layers * (4 * d + 1 + 5 * d) + 2 * d
    with torch.device("meta"):
        assert count(build("phase8_push_dense")) == sum(FULL.values()) + left_out == 4_841_803_816


def test_the_compressed_network_is_larger_than_the_formula_says():
    """Factors, positions and biases counted as they are: 99 million parameters more than documented."""
    d, layers, v, r, f = 3072, 40, 50_257, 768, 384
    embedding = v * r + r * d + d + 512 * d
    layer = 4 * d * d + 4 * d + 1 + 10 * d * f + 5 * d + 2 * f + 4 * d
    with torch.device("meta"):
        model = build("phase8_push")
    assert count(model.embedding) == embedding == 42_529_536 + d
    assert count(model) == embedding + layers * layer + 2 * d + v * d == 2_180_365_096


@NETWORKS
def test_attention_is_that_of_phase_8(compressed):
    """In every layer, with a curvature of its own."""
    blocks = push(Config(SMALL, compressed)).blocks
    assert all(isinstance(block.attention, TangentSpaceLinearAttention) for block in blocks)
    assert len({id(block.attention.curvature) for block in blocks}) == SMALL.layers


@NETWORKS
def test_a_token_knows_its_position(compressed):
    """Each position adds a vector of its own to the token's."""
    embedding = push(Config(SMALL, compressed, n_seq=6)).embedding
    ids = torch.tensor([[7, 3, 7], [7, 7, 7]])
    torch.testing.assert_close(embedding(ids), embedding.tokens(ids) + embedding.positions[:3])
    assert embedding.positions.shape == (6, 16)
    assert not torch.allclose(embedding(ids)[0, 0], embedding(ids)[0, 2])


@NETWORKS
def test_more_tokens_than_positions_are_refused(compressed):
    """With both numbers, in one line."""
    model = push(Config(SMALL, compressed, n_seq=6)).double()
    assert model(torch.zeros(2, 6, dtype=torch.long)).shape == (2, 6, 50)
    with pytest.raises(UsageError, match=r"^7 tokens, but this network has positions for at most 6$"):
        model(torch.zeros(2, 7, dtype=torch.long))


def test_the_dense_ffn_is_two_maps_with_gelu_between():
    """It is d -> 4d -> d."""
    ffn = push(Config(SMALL, compressed=False)).blocks[0].ffn
    x = torch.randn(3, 16)
    h = nn.functional.gelu(x @ ffn[0].weight.T + ffn[0].bias)
    assert h.shape == (3, 64)
    torch.testing.assert_close(ffn(x), h @ ffn[2].weight.T + ffn[2].bias)


@NETWORKS
def test_every_parameter_is_trained(compressed):
    """A backward pass reaches every parameter with finite numbers that are not all zero."""
    torch.manual_seed(0)
    model = push(Config(SMALL, compressed, n_seq=4)).double()
    model(torch.tensor([[7, 3, 11, 5]])).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in model.parameters())
