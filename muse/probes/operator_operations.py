"""Count the arithmetic of an operator's definition, which walks through time one token after the other: exact, no GPU.

Two operations per multiply-add of a matrix product, and one per element that any other operation writes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from muse.claims.claim import Claim, Scope
from muse.claims.measurement import Measurement
from muse.probes.bench import Bench
from muse.probes.operators import operator, sized
from muse.probes.slope import slope


def measure(claim: Claim, bench: Bench) -> Measurement:
    """The growth of the operations with the tokens, of one sequence."""
    name, lengths = claim.given["operator"], claim.given["lengths"]
    return slope(lengths, [count(name, n) for n in lengths], Scope.EXACT)


def count(name: str, tokens: int) -> int:
    """Operations of one forward pass over one sequence, on tensors without data."""
    made = sized(name, tokens, rows=1).make_inputs("cpu", torch.float32, 0)
    given = {key: x.to("meta") if isinstance(x, Tensor) else x for key, x in made.items()}
    with torch.no_grad(), Operations() as counting:
        operator(name).definition(**given)
    return counting.total


class Operations(TorchDispatchMode):
    """Adds up what every operation computes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        elif not any(result.alias_info and not result.alias_info.is_write for result in func._schema.returns):  # noqa: SLF001  # no public name
            self.total += sum(x.numel() for x in tree_leaves(out) if isinstance(x, Tensor))
        return out
