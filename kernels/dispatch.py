"""Which implementation computes: the Triton kernel where it can run, else the definition."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

TRITON = find_spec("triton") is not None
"""Whether Triton is installed."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether Triton's interpreter runs kernels on the CPU."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.complex64)
"""What the kernels compute; float64 is the definition's."""


def implementation(x: Tensor) -> Literal["triton", "reference"]:
    """Name what an operator of this package runs for `x`, its first argument.

    The Triton kernel, where Triton is installed, `x` is of single or half precision and lies on a GPU
    (or the interpreter is on); the plain PyTorch definition everywhere else.
    """
    if TRITON and x.dtype in DTYPES and (x.is_cuda or INTERPRETED):
        return "triton"
    return "reference"
