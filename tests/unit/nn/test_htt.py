"""The HTT embedding is a table in two cores, and its head is that table transposed."""

import pytest
import torch
from torch import Tensor

from muse.nn.htt import HTTEmbedding, split

SIZES = [(50, 16), (50, 24), (7, 8), (1, 8)]


def embedding(vocabulary: int, d_model: int, rank: int = 3) -> HTTEmbedding:
    """Return an embedding in float64 with phases that matter, the same each time."""
    torch.manual_seed(0)
    made = HTTEmbedding(vocabulary, d_model, rank).double()
    torch.nn.init.uniform_(made.phase, -2, 2)
    return made


def table(made: HTTEmbedding) -> Tensor:
    """Return the whole table, one coordinate at a time, as the formula writes it."""
    out = torch.zeros(made.vocabulary, made.d_model, dtype=torch.float64)
    for t in range(made.vocabulary):
        for c in range(made.d_model):
            first, second = made.first[t // made.v2, :, c // made.d2], made.second[t % made.v2, :, c % made.d2]
            out[t, c] = sum(made.phase.cos() * first * second)
    return out.detach()


@pytest.mark.parametrize(
    ("vocabulary", "d_model", "rank", "expected"),
    [
        (10_000, 512, 4, 18_404),
        (10_000, 512, 8, 36_808),
        (10_000, 512, 16, 73_616),
        (50_257, 1024, 16, 229_904),
        (50_257, 512, 16, 165_248),
        (50_257, 256, 16, 114_960),
        (32_000, 256, 8, 45_832),
        (50_000, 4096, 4, 114_692),
    ],
)
def test_it_has_the_known_number_of_parameters(vocabulary, d_model, rank, expected):
    """Two cores and the phases: r (v1 d1 + v2 d2) + r."""
    with torch.device("meta"):
        assert sum(p.numel() for p in HTTEmbedding(vocabulary, d_model, rank).parameters()) == expected


@pytest.mark.parametrize(("vocabulary", "d_model"), SIZES)
def test_a_token_has_its_row_of_the_table(vocabulary, d_model):
    """Also where neither size is a square."""
    made = embedding(vocabulary, d_model)
    ids = torch.arange(vocabulary).expand(2, -1)
    torch.testing.assert_close(made(ids), table(made).expand(2, -1, -1))


@pytest.mark.parametrize(("vocabulary", "d_model"), SIZES)
def test_the_tied_logits_are_products_with_the_table(vocabulary, d_model):
    """It is x E^T, over the vocabulary and no more."""
    made = embedding(vocabulary, d_model)
    x = torch.randn(2, 3, d_model, dtype=torch.float64)
    torch.testing.assert_close(made.logits(x), x @ table(made).T)


def test_a_row_as_a_matrix_has_no_more_than_the_rank():
    """d1 x d2 numbers of rank 2, where any row of a dense table would have 4."""
    made = embedding(50, 16, rank=2)
    assert torch.linalg.matrix_rank(made(torch.tensor([[37]])).view(4, 4)) == 2


def test_the_phase_acts_through_its_cosine_alone():
    """Its sign does nothing."""
    made, ids = embedding(50, 16), torch.tensor([[37]])
    before = made(ids)
    with torch.no_grad():
        made.phase.neg_()
    torch.testing.assert_close(made(ids), before)


def test_every_parameter_is_trained():
    """Cores and phases have finite gradients that are not all zero."""
    made = embedding(50, 16)
    made(torch.arange(50)[None]).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in made.parameters())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 512, 10_000, 50_257])
def test_the_grid_holds_everything_and_no_row_too_many(n):
    """The first side is the rounded-up root, the second the least that suffices."""
    first, second = split(n)
    assert first * second >= n > first * (second - 1)
    assert first**2 >= n > (first - 1) ** 2
