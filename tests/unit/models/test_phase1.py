"""Phase 1 has the measured parameters, and recomputes without changing what it computes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from muse.models import PRESETS, build, config
from muse.models.phase1 import Config, Phase1, Rank
from muse.nn.shape import Shape

COUNTS = {
    "phase1_standard": 3_141_504,
    "phase1_extreme": 1_301_512,
    "phase1_ultra": 616_088,
    "phase1_ultra_large": 4_465_404,
    "phase1_ultra_rank4": 616_088 - 6 * 6_660,
    "phase1_ultra_tied": 616_088 - 52_052,
    "phase1_ultra_rmsnorm": 616_088 - 7 * 512,
}
MEASURED = ("phase1_standard", "phase1_extreme", "phase1_ultra")
SMALL = Shape(16, 2, 1, 50)


def count(*modules: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for module in modules for p in module.parameters())


def small(name: str, **changes) -> Config:
    """Return the preset's configuration at a size that takes no time."""
    return replace(config(name), shape=SMALL, **changes)


def trained(settings: Config) -> tuple[list[torch.Tensor], int]:
    """Return the logits and all gradients of one step, and how often a convolution ran."""
    torch.manual_seed(0)
    model = Phase1(settings).double()
    calls = []
    for module in model.modules():
        if isinstance(module, nn.Conv1d):
            module.register_forward_pre_hook(lambda *_: calls.append(1))
    torch.manual_seed(1)
    logits = model(torch.tensor([[7, 3, 11, 5]]))
    logits.square().sum().backward()
    return [logits.detach(), *(p.grad for p in model.parameters())], len(calls)


def test_every_preset_of_the_module_is_counted_here():
    """None is forgotten."""
    assert set(COUNTS) == {name for name, module in PRESETS.items() if module == "muse.models.phase1"}


@pytest.mark.parametrize(("name", "expected"), COUNTS.items())
def test_every_preset_has_the_known_number_of_parameters(name, expected):
    """Counted on the meta device, to the last one."""
    with torch.device("meta"):
        assert count(build(name)) == expected


def test_the_smallest_measured_network_by_part():
    """Embedding, AR-SSM, feed-forward network, norms and head."""
    with torch.device("meta"):
        model = build("phase1_ultra")
    parts = [
        count(model.embedding),
        count(*(block.ssm for block in model.blocks)),
        count(*(block.ffn for block in model.blocks)),
        count(model.norm, *(block.norms for block in model.blocks)),
        count(model.head),
    ]
    assert parts == [18_404, 486_192, 52_272, 7_168, 52_052]


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("d", [512, 4096])
def test_ranks_follow_the_width_above_their_floor(name, d):
    """The floors hold at width 512, the divisors at 4096."""
    with torch.device("meta"):
        model = build(name, d_model=d, layers=1)
    ranks = model.blocks[0].ffn[0].out_features, model.head[0].out_features
    expected = {
        ("phase1_standard", 512): (64, 32),
        ("phase1_extreme", 512): (16, 16),
        ("phase1_ultra", 512): (8, 4),
        ("phase1_standard", 4096): (256, 128),
        ("phase1_extreme", 4096): (128, 64),
        ("phase1_ultra", 4096): (64, 32),
    }
    assert ranks == expected[name, d]


def test_a_rank_is_a_part_of_the_width_but_not_below_its_floor():
    """max(d // divisor, least)."""
    assert [Rank(64, 8).of(d) for d in (64, 512, 1024, 1087)] == [8, 8, 16, 16]


@pytest.mark.parametrize("name", COUNTS)
def test_recomputing_changes_no_gradient(name):
    """The same logits and gradients as with everything kept, dropout included."""
    recomputed, _ = trained(small(name))
    kept, _ = trained(small(name, recomputed=()))
    torch.testing.assert_close(recomputed, kept, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("recomputed", "times"), [((), 1), (("half",), 2), (("block",), 2), (("half", "block"), 3), (("head",), 1)]
)
def test_each_level_of_recomputing_runs_a_layer_once_more(recomputed, times):
    """Counted in convolutions: once forward, and once more for each level around them."""
    assert trained(small("phase1_standard", recomputed=recomputed))[1] == times * SMALL.layers


@pytest.mark.parametrize(("always", "kept"), [(False, True), (True, False)])
def test_only_ultra_recomputes_outside_of_training(always, kept):
    """Which it does even in evaluation with gradients."""
    saved = []
    model = Phase1(small("phase1_ultra", always=always)).eval()
    wide = [p for p in model.blocks.parameters() if p.dim() == 2]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        model(torch.tensor([[7, 3, 11, 5]]))
    pointers = {t.data_ptr() for t in saved}
    assert any(p.data_ptr() in pointers for p in wide) is kept
    assert [config(name).always for name in MEASURED] == [False, False, True]


@pytest.mark.parametrize("name", COUNTS)
def test_the_network_is_its_parts_written_out(name):
    """Embedding, pre-norm residual halves, final norm, head."""
    torch.manual_seed(0)
    model = Phase1(small(name)).double().eval()
    ids = torch.tensor([[7, 3, 11, 5]])
    x = model.embedding(ids)
    for block in model.blocks:
        x = x + block.ssm(block.norms[0](x))
        x = x + block.ffn(block.norms[-1](x))
    x = model.norm(x)
    table = model.embedding(torch.arange(50)[None])[0]
    expected = x @ table.T if model.head is None else model.head(x)
    torch.testing.assert_close(model(ids), expected)


@pytest.mark.parametrize(("name", "norms"), list(zip(MEASURED, [2, 2, 1], strict=True)))
def test_ultra_normalises_both_halves_with_one_norm(name, norms):
    """The others have two per block."""
    assert [len(block.norms) for block in Phase1(small(name)).blocks] == [norms, norms]


def test_the_variant_without_means_has_no_layer_norm():
    """All seven norms are root-mean-square ones."""
    kinds = [type(m) for m in build("phase1_ultra_rmsnorm").modules() if isinstance(m, nn.LayerNorm | nn.RMSNorm)]
    assert kinds == [nn.RMSNorm] * 7


@pytest.mark.parametrize("name", COUNTS)
def test_every_parameter_is_trained(name):
    """A step gives every parameter a finite gradient that is not all zero; at this width a rank of 1 could die."""
    grads = trained(small(name, ffn_rank=Rank(2)))[0][1:]
    assert all(grad.isfinite().all() and grad.abs().sum() > 0 for grad in grads)
