"""Triton kernels run on the CPU, in Triton's interpreter, and every uninitialised tensor is full of NaN."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from kernels import dispatch

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
