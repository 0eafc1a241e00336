"""A hard memory cap on a bigger card, proven to bite before anything is said to fit under it.

The cap holds for this process's caching allocator. It does not make the card a small one: a pass under the
cap supports a claim with scope `emulated`, and the CUDA context, some hundred MiB, comes on top.
"""

from __future__ import annotations

import torch

from muse.errors import Unmeasured, UsageError

PROOF = 64 * 2**20
"""How far beyond the cap an allocation must fail."""


def impose(budget: int) -> None:
    """Cap this process at `budget` bytes of GPU memory for good.

    Raises UsageError when the card is smaller than the budget, Unmeasured when the cap does not bite.
    """
    total = torch.cuda.mem_get_info()[1]
    if budget > total:
        raise UsageError(f"a budget of {budget:,} B is above the card's {total:,} B; ask for less")
    torch.cuda.set_per_process_memory_fraction(budget / total)
    try:
        torch.empty(budget + PROOF, dtype=torch.uint8, device="cuda")
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return
    raise Unmeasured("cap_does_not_bite", f"{budget + PROOF:,} B could be allocated under a cap of {budget:,} B")
