"""The factorised transformer is its parts, with the sizes that its docstrings state."""

import pytest
import torch
from torch import nn

from muse.nn.lowrank import (
    EMBEDDING_DIVISOR,
    FFN_DIVISOR,
    SIZES,
    Block,
    FactorisedEmbedding,
    FactorisedFFN,
    FactorisedTransformer,
    LowRankFFN,
    LowRankHead,
    UltraLowRankFFN,
)
from muse.nn.shape import Shape

SMALL = Shape(d_model=16, layers=3, heads=2, vocabulary=50)


def count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in module.parameters())


class Nothing(nn.Module):
    """Attention that adds nothing."""

    def forward(self, x):
        """Return zeros."""
        return torch.zeros_like(x)


def test_the_embedding_has_as_many_parameters_as_its_formula():
    """V r + r d + d."""
    assert count(FactorisedEmbedding(50, 4, 16)) == 50 * 4 + 4 * 16 + 16


def test_the_embedding_is_a_row_of_the_product():
    """A token's vector is its table row through the projection."""
    embedding = FactorisedEmbedding(50, 4, 16)
    expected = embedding.table.weight[7] @ embedding.project.weight.T + embedding.project.bias
    torch.testing.assert_close(embedding(torch.tensor([[7]]))[0, 0], expected)


def test_the_embedding_without_bias_has_d_parameters_less():
    """V r + r d."""
    assert count(FactorisedEmbedding(50, 4, 16, bias=False)) == 50 * 4 + 4 * 16


@pytest.mark.parametrize("d", [16, 4096])
def test_the_ffn_has_as_many_parameters_as_its_formula(d):
    """Weights 10 d r, biases 5 d + 2 r."""
    r = d // 8
    with torch.device("meta"):
        assert count(FactorisedFFN(d, r)) == 10 * d * r + 5 * d + 2 * r


def test_the_ffn_saves_84_per_cent_of_the_dense_weights():
    """At rank d / 8 its weights are 1.25 d^2 against 8 d^2, which is not the documents' 87.5 %."""
    with torch.device("meta"):
        weights = sum(p.numel() for p in FactorisedFFN(4096, 512).parameters() if p.dim() == 2)
    assert 1 - weights / (8 * 4096**2) == 0.84375


def test_the_ffn_has_one_nonlinearity_in_its_middle():
    """The factors on either side of GELU are composed linearly."""
    ffn = FactorisedFFN(16, 2)
    x = torch.randn(3, 16)
    first = x @ ffn[0].weight.T @ ffn[1].weight.T + ffn[0].bias @ ffn[1].weight.T + ffn[1].bias
    second = nn.functional.gelu(first) @ ffn[3].weight.T @ ffn[4].weight.T + ffn[3].bias @ ffn[4].weight.T + ffn[4].bias
    torch.testing.assert_close(ffn(x), second)


@pytest.mark.parametrize(("d", "r", "expected"), [(16, 2, 404), (512, 64, 330_368)])
def test_the_low_rank_ffn_has_as_many_parameters_as_its_formula(d, r, expected):
    """10 d r + 5 d + 2 r, as a factorisation of the same rank."""
    assert count(LowRankFFN(d, r)) == 10 * d * r + 5 * d + 2 * r == expected


def test_the_low_rank_ffn_has_a_nonlinearity_after_every_narrow_map():
    """Its four maps, written out."""
    ffn = LowRankFFN(16, 2).eval()
    x = h = torch.randn(3, 16)
    first, second, third, last = (part for part in ffn if isinstance(part, nn.Linear))
    for part in (first, second, third):
        h = (h @ part.weight.T + part.bias).clamp(min=0)
    torch.testing.assert_close(ffn(x), h @ last.weight.T + last.bias)


def test_the_low_rank_ffn_drops_a_tenth_in_training():
    """After each of the three non-linearities, and nothing when it is evaluated."""
    ffn, x = LowRankFFN(16, 2), torch.randn(3, 16)
    assert [part.p for part in ffn if isinstance(part, nn.Dropout)] == [0.1] * 3
    assert torch.equal(ffn.eval()(x), ffn(x))


@pytest.mark.parametrize(("d", "r", "expected"), [(16, 2, 82), (512, 8, 8_712)])
def test_the_ultra_low_rank_ffn_has_as_many_parameters_as_its_formula(d, r, expected):
    """2 d r + r + d."""
    assert count(UltraLowRankFFN(d, r)) == 2 * d * r + r + d == expected


def test_the_ultra_low_rank_ffn_is_two_maps_with_relu_between():
    """It never widens to 4 d."""
    ffn, x = UltraLowRankFFN(16, 2), torch.randn(3, 16)
    h = (x @ ffn[0].weight.T + ffn[0].bias).clamp(min=0)
    torch.testing.assert_close(ffn(x), h @ ffn[2].weight.T + ffn[2].bias)


def test_the_low_rank_head_is_the_product_of_its_factors():
    """Nothing stands between the two maps."""
    head, x = LowRankHead(16, 2, 50), torch.randn(3, 16)
    expected = x @ (head[1].weight @ head[0].weight).T + head[1].weight @ head[0].bias + head[1].bias
    torch.testing.assert_close(head(x), expected)


def test_a_block_takes_another_ffn():
    """In place of the factorised one."""
    other = nn.Linear(16, 16)
    assert Block(SMALL, Nothing(), other).ffn is other


def test_a_block_normalises_before_each_part_and_adds_it():
    """Pre-norm residuals: x + a(n(x)), then y + f(n(y))."""
    torch.manual_seed(0)
    block = Block(SMALL, nn.Linear(16, 16))
    x = 5 * torch.randn(2, 3, 16)
    y = x + block.attention(nn.functional.layer_norm(x, (16,)))
    torch.testing.assert_close(block(x), y + block.ffn(nn.functional.layer_norm(y, (16,))))


def test_ids_become_logits_over_the_vocabulary():
    """B x N ids give B x N x V logits."""
    assert FactorisedTransformer(SMALL, Nothing)(torch.zeros(2, 5, dtype=torch.long)).shape == (2, 5, 50)


def test_the_network_is_embedding_blocks_norm_and_head_in_this_order():
    """The last block's output is normalised before the head."""
    torch.manual_seed(0)
    model = FactorisedTransformer(SMALL, lambda: nn.Linear(16, 16))
    ids = torch.tensor([[7, 3, 7]])
    x = 9 * model.embedding(ids)
    for block in model.blocks:
        x = block(x)
    expected = nn.functional.layer_norm(x, (16,)) @ model.head.weight.T
    model.embedding.register_forward_hook(lambda _module, _args, out: 9 * out)
    torch.testing.assert_close(model(ids), expected)


def test_without_attention_a_token_is_alone():
    """There are no positions: the same token anywhere gives the same logits."""
    logits = FactorisedTransformer(SMALL, Nothing)(torch.tensor([[7, 3, 7]]))
    torch.testing.assert_close(logits[0, 0], logits[0, 2])


def test_every_layer_has_an_attention_of_its_own():
    """The factory is called once per layer, and nothing is shared."""
    model = FactorisedTransformer(SMALL, lambda: nn.Linear(16, 16))
    assert len({id(block.attention) for block in model.blocks}) == SMALL.layers


def test_the_head_is_untied_and_without_bias():
    """It is a matrix of its own, V x d."""
    model = FactorisedTransformer(SMALL, Nothing)
    assert [tuple(p.shape) for p in model.head.parameters()] == [(50, 16)]


@pytest.mark.parametrize("name", SIZES)
def test_every_documented_size_divides(name):
    """Heads divide the width, and so do the two ranks' divisors."""
    shape = SIZES[name]
    assert [shape.d_model % n for n in (shape.heads, EMBEDDING_DIVISOR, FFN_DIVISOR)] == [0, 0, 0]
