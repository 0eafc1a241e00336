"""Count the matrix products of a whole forward pass on fake tensors, two operations per multiply-add: exact, no GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.memory.predict import plain_modules
from muse.probes.bench import Bench
from muse.probes.slope import slope
from muse.probes.workloads import subject, workload

_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001  # no public name
"""What attention becomes on fake CPU tensors; PyTorch's counter knows only its CUDA siblings."""


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The growth of the operations with the tokens."""
    settings, lengths = subject(claim.given), claim.given["lengths"]
    return slope(lengths, [_count({**settings, "tokens": n}) for n in lengths], Scope.EXACT)


def counter() -> FlopCounterMode:
    """PyTorch's counter, taught what attention is on the CPU."""
    return FlopCounterMode(display=False, custom_mapping={_CPU_ATTENTION: _attention_operations})


def _attention_operations(q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> int:
    count: int = sdpa_flop_count(q, k, v)
    return count


def _count(settings: dict[str, Any]) -> int:
    what, cpu = workload(settings), torch.device("cpu")
    counting = counter()
    with FakeTensorMode(), plain_modules():
        model, ids = what.place(cpu), what.ids(cpu)
        with counting:
            what.forward(model, ids)
    return counting.get_total_flops()
