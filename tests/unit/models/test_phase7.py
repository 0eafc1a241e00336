"""Phase 7 is the factorised transformer with PyTorch's own attention."""

import pytest
import torch

from muse.models import build
from muse.models.phase7 import Config, attention
from muse.nn.shape import Shape

SMALL = Config(Shape(d_model=16, layers=2, heads=4, vocabulary=50))

COUNTS = {
    "phase7_maximum": 3_081_831_424,
    "phase7_large": 2_575_479_552,
    "phase7_standard": 1_187_979_776,
    "phase7_deep": 1_540_735_488,
}


@pytest.mark.parametrize(("name", "expected"), COUNTS.items())
def test_every_preset_has_the_documented_number_of_parameters(name, expected):
    """Counted on the meta device, to the last one."""
    with torch.device("meta"):
        assert sum(p.numel() for p in build(name).parameters()) == expected


def test_attention_has_as_many_parameters_as_its_formula():
    """4 d^2 + 4 d."""
    assert sum(p.numel() for p in attention(SMALL).parameters()) == 4 * 16**2 + 4 * 16


def test_attention_is_softmax_over_all_tokens():
    """One head at a time, written out in float64."""
    torch.manual_seed(0)
    layer = attention(SMALL).double().eval()
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    w, b = layer.inner.in_proj_weight, layer.inner.in_proj_bias
    q, k, v = (x @ w[i : i + 16].T + b[i : i + 16] for i in (0, 16, 32))
    heads = []
    for h in range(4):
        cut = slice(4 * h, 4 * h + 4)
        weights = torch.softmax(q[..., cut] @ k[..., cut].transpose(1, 2) / 4**0.5, -1)
        heads.append(weights @ v[..., cut])
    expected = layer.inner.out_proj(torch.cat(heads, -1))
    torch.testing.assert_close(layer(x), expected)


def test_attention_has_no_mask():
    """The last token reaches the first."""
    layer, x = attention(SMALL), torch.randn(1, 5, 16)
    changed = x.clone()
    changed[:, -1] += 1
    assert not torch.allclose(layer(x)[:, 0], layer(changed)[:, 0])
