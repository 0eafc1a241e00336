"""Count the arithmetic of one attention layer on fake tensors: exact, no GPU.

Matrix products are counted, two operations per multiply-add; elementwise work, which is O(N d) in the linear
mode and O(N^2) in the exact one, is not.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement, certain
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.workloads import attention_call

_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001  # no public name
"""What attention becomes on fake CPU tensors; PyTorch's counter knows only its CUDA siblings."""


def _attention_operations(q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> int:
    count: int = sdpa_flop_count(q, k, v)
    return count


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The growth of the operations with the tokens, or the share of them that mixes tokens at one length."""
    given = claim.given
    if claim.quantity == "mixing_share":
        mixing, layer = (_count({**given, "part": part}, given["tokens"][0]) for part in ("mixing", "layer"))
        return certain(Fraction(mixing, layer), Scope.EXACT, mixing=mixing, layer=layer)
    return slope(given["tokens"], [_count(given, n) for n in given["tokens"]], Scope.EXACT)


def _count(given: dict[str, Any], tokens: int) -> int:
    counter = FlopCounterMode(display=False, custom_mapping={_CPU_ATTENTION: _attention_operations})
    with FakeTensorMode(), torch.no_grad(), counter:
        attention_call(given, given["model"], tokens, torch.device("cpu"))()
    return counter.get_total_flops()
