"""The baseline has the parameters that the documents' own runs had."""

import pytest
import torch

from muse.models import build, config
from muse.models.baseline import Config
from muse.models.baseline import build as baseline
from muse.nn.shape import Shape

COUNTS = {
    "baseline": 1_617_929_040,
    "baseline_3664": 1_333_328_304,
    "baseline_small": 29_164_304,
    "baseline_large": 253_604_688,
}
SMALL = Config(Shape(16, 2, 4, 50))


def count(module: torch.nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("name", "expected"), COUNTS.items())
def test_every_preset_has_the_known_number_of_parameters(name, expected):
    """Counted on the meta device, and by the formula."""
    d, v, layers = config(name).shape.d_model, config(name).shape.vocabulary, config(name).shape.layers
    with torch.device("meta"):
        assert count(build(name)) == 2 * v * d + v + layers * (12 * d * d + 13 * d) == expected


def test_the_largest_is_embedding_layers_and_head():
    """As the document's own run counted them."""
    with torch.device("meta"):
        model = build("baseline")
    assert [count(part) for part in (model.embedding, model.blocks, model.head)] == [
        204_800_000,
        1_208_279_040,
        204_850_000,
    ]


@pytest.mark.parametrize(("name", "norm_first"), list(zip(COUNTS, [True, True, False, False], strict=True)))
def test_the_norms_stand_where_each_document_had_them(name, norm_first):
    """Before in the maximum-parameter document, after in the memory document."""
    assert config(name).norm_first is norm_first
    with torch.device("meta"):
        assert build(name, layers=1).blocks[0].norm_first is norm_first


def test_it_has_neither_positions_nor_a_mask():
    """Permuted tokens give permuted logits."""
    torch.manual_seed(0)
    model = baseline(SMALL).double().eval()
    ids, order = torch.tensor([[7, 3, 11, 5]]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(ids[:, order]), model(ids)[:, order])


def test_training_drops_and_evaluation_does_not():
    """Two passes in training differ."""
    torch.manual_seed(0)
    model, ids = baseline(SMALL), torch.tensor([[7, 3, 11, 5]])
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))
