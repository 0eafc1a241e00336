"""Triton kernels run on the CPU, in Triton's interpreter, and every uninitialised tensor is full of NaN."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch

from kernels import dispatch
from kernels.case import Case

# Triton decides when its functions are defined, so it must be loaded with the interpreter on.
# The variable does not stay: processes that other tests start would inherit it.
os.environ["TRITON_INTERPRET"] = "1"
if dispatch.TRITON:
    import triton.language  # noqa: F401
del os.environ["TRITON_INTERPRET"]


@pytest.fixture(autouse=True)
def interpreted(monkeypatch) -> None:
    """Let the operators choose their kernels on the CPU."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(dispatch, "INTERPRETED", True)


@pytest.fixture(autouse=True)
def unwritten_memory_is_nan() -> Iterator[None]:
    """Make `torch.empty` give NaN, so that whatever a kernel leaves unwritten shows."""
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="session")
def small_inputs() -> Callable[[Case, torch.dtype], dict[str, Any]]:
    """Makes the inputs of a case of small sizes: of each, the number of its bits, so that unlike sizes stay unlike."""

    def small(size: Any) -> Any:
        if isinstance(size, tuple):
            return tuple(map(small, size))
        return size.bit_length() if isinstance(size, int) else size

    def make(case: Case, dtype: torch.dtype) -> dict[str, Any]:
        made = case.make_inputs
        return partial(made.func, *map(small, made.args), **made.keywords)("cpu", dtype, 0)

    return make
