"""A network is its parts in order, and the encoder layer is PyTorch's."""

import pytest
import torch
from torch import nn

from muse.nn.network import Network, encoder_layer
from muse.nn.shape import Shape

SMALL = Shape(d_model=16, layers=2, heads=4, vocabulary=50)


def parts() -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """Return an embedding, two blocks and a head."""
    torch.manual_seed(0)
    return nn.Embedding(50, 16), [nn.Linear(16, 16), nn.Tanh()], nn.Linear(16, 50)


def test_a_network_applies_its_parts_in_order():
    """Embedding, every block, norm, head."""
    embedding, blocks, head = parts()
    ids, norm = torch.tensor([[7, 3, 7]]), nn.LayerNorm(16)
    x = norm(blocks[1](blocks[0](embedding(ids))))
    torch.testing.assert_close(Network(SMALL, embedding, blocks, head, norm)(ids), head(x))


def test_a_network_without_a_norm_has_none():
    """The last block's output goes to the head as it is."""
    embedding, blocks, head = parts()
    ids = torch.tensor([[7, 3, 7]])
    expected = head(blocks[1](blocks[0](embedding(ids))))
    torch.testing.assert_close(Network(SMALL, embedding, blocks, head)(ids), expected)


@pytest.mark.parametrize("norm_first", [True, False])
def test_an_encoder_layer_has_as_many_parameters_as_its_formula(norm_first):
    """12 d^2 + 13 d, wherever its norms stand."""
    layer = encoder_layer(SMALL, norm_first=norm_first)
    assert sum(p.numel() for p in layer.parameters()) == 12 * 16**2 + 13 * 16


@pytest.mark.parametrize("norm_first", [True, False])
def test_an_encoder_layer_is_attention_and_a_dense_relu_network(norm_first):
    """Written out from its own parts, with the norms before or after."""
    torch.manual_seed(0)
    layer = encoder_layer(SMALL, norm_first=norm_first).double().eval()
    x = 3 * torch.randn(2, 5, 16, dtype=torch.float64)

    def attend(y):
        return layer.self_attn(y, y, y, need_weights=False)[0]

    def transform(y):
        return layer.linear2(layer.linear1(y).clamp(min=0))

    if norm_first:
        y = x + attend(layer.norm1(x))
        expected = y + transform(layer.norm2(y))
    else:
        y = layer.norm1(x + attend(x))
        expected = layer.norm2(y + transform(y))
    torch.testing.assert_close(layer(x), expected)
