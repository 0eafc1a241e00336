"""The maximum-parameter document's Phase 1 and Phase 2, and the one layer that is their own."""

import pytest
import torch
from torch import Tensor, nn

from muse.models import build
from muse.models.max_parameters import Config, SemiseparableLayer
from muse.models.max_parameters import build as network
from muse.nn.shape import Shape

COUNTS = {"phase1": 1_263_940_752, "phase2": 106_810_512}


def count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in module.parameters())


def layer() -> SemiseparableLayer:
    """Return a layer of width 16 in float64 with parameters large enough to matter."""
    torch.manual_seed(0)
    made = SemiseparableLayer(16).double()
    for parameter in made.parameters(recurse=False):
        nn.init.normal_(parameter)
    return made


def tokens(n: int = 5) -> Tensor:
    """Return two sequences."""
    return torch.randn(2, n, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def loop(made: SemiseparableLayer, x: Tensor) -> Tensor:
    """Return the layer's result as the document's code had it: one token at a time."""
    y, n = made.norm_mix(x), x.shape[1]
    mixed = torch.zeros_like(y)
    for i in range(n):
        mixed[:, i] = made.here * y[:, i]
        if i > 0:
            mixed[:, i] += made.before * y[:, i - 1]
        if i < n - 1:
            mixed[:, i] += made.after * y[:, i + 1]
        mixed[:, i] += torch.stack([made.u @ (made.v.T @ token) for token in y[:, i]])
    x = x + mixed
    return x + made.ffn(made.norm_ffn(x))


@pytest.mark.parametrize(("name", "expected"), COUNTS.items())
def test_every_preset_has_the_known_number_of_parameters(name, expected):
    """Counted on the meta device, to the last one."""
    with torch.device("meta"):
        assert count(build(name)) == expected


@pytest.mark.parametrize(("name", "layers"), [("phase1", 1_208_279_040), ("phase2", 51_148_800)])
def test_the_two_differ_in_their_layers_alone(name, layers):
    """The embedding of rank 4 has 216,384 parameters and the head 55,445,328 in both."""
    with torch.device("meta"):
        model = build(name)
    assert [count(part) for part in (model.embedding, model.blocks, model.head)] == [216_384, layers, 55_445_328]


def test_the_layers_parameters_by_part():
    """At width 4096; its feed-forward network is 98.5 % of the layer."""
    with torch.device("meta"):
        made = SemiseparableLayer(4096)
    parts = {
        "diagonals": made.here.numel() + made.before.numel() + made.after.numel(),
        "low rank": made.u.numel() + made.v.numel(),
        "potential": made.potential.numel(),
        "ffn": count(made.ffn),
        "norms": count(made.norm_mix) + count(made.norm_ffn),
    }
    assert list(parts.values()) == [12_288, 98_304, 4_096, 8_393_728, 16_384]
    assert count(made) == sum(parts.values()) == 8_524_800


@pytest.mark.parametrize(("d", "rank"), [(8, 4), (32, 5), (3664, 11), (4095, 11), (4096, 12)])
def test_the_rank_is_the_logarithm_of_the_width_but_at_least_four(d, rank):
    """Rounded down."""
    with torch.device("meta"):
        assert SemiseparableLayer(d).u.shape == (d, rank)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_layer_is_the_documents_loop_over_tokens(n):
    """Shifted copies of the whole sequence give the same numbers."""
    made, x = layer(), tokens(n)
    torch.testing.assert_close(made(x), loop(made, x))


def test_the_layer_sees_one_token_to_each_side():
    """A changed token changes itself and its neighbours; nothing attends."""
    made, x = layer(), tokens()
    changed = x.clone()
    changed[:, 2, 0] += 1
    same = torch.isclose(made(changed), made(x)).all(-1).all(0)
    assert same.tolist() == [True, False, False, False, True]


def test_the_potential_is_counted_and_not_used():
    """It has no gradient, and everything else has a finite one that is not zero."""
    made = layer()
    made(tokens()).square().sum().backward()
    assert made.potential.grad is None
    rest = [p.grad for p in made.parameters() if p is not made.potential]
    assert all(grad.isfinite().all() and grad.abs().sum() > 0 for grad in rest)


@pytest.mark.parametrize("semiseparable", [True, False])
def test_the_head_is_two_maps_with_gelu_between(semiseparable):
    """Through a quarter of the width, on the last layer's output as it is."""
    torch.manual_seed(0)
    model = network(Config(Shape(16, 2, 4, 50), semiseparable)).double().eval()
    ids = torch.tensor([[7, 3, 11]])
    x = model.embedding.table.weight[ids] @ model.embedding.project.weight.T
    for block in model.blocks:
        x = block(x)
    h = nn.functional.gelu(x @ model.head[0].weight.T + model.head[0].bias)
    torch.testing.assert_close(model(ids), h @ model.head[2].weight.T + model.head[2].bias)
