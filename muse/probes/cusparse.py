"""One tridiagonal solve by cuSPARSE, which has no binding in PyTorch."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_void_p
from functools import cache

import torch
from torch import Tensor


@cache
def _library() -> ctypes.CDLL:
    """The library that PyTorch has loaded already."""
    torch.cuda.init()
    with open("/proc/self/maps") as maps:  # noqa: PTH123  # a pseudo-file
        loaded = {line.split()[-1] for line in maps if "libcusparse.so" in line}
    return ctypes.CDLL(min(loaded, default="libcusparse.so"))


@cache
def _handle() -> c_void_p:
    handle = c_void_p()
    _done(_library().cusparseCreate(byref(handle)))
    return handle


def solve(lower: Tensor, middle: Tensor, upper: Tensor, x: Tensor) -> Tensor:
    """Solve in place, for x, each of a batch of complex64 tridiagonal systems (B, N), all contiguous.

    `lower` starts, and `upper` ends, with an element that is not used.
    Raises RuntimeError with cuSPARSE's status.
    """
    library, (batch, rows) = _library(), x.shape
    diagonals = [c_void_p(part.data_ptr()) for part in (lower, middle, upper, x)]
    _done(library.cusparseSetStream(_handle(), c_void_p(torch.cuda.current_stream().cuda_stream)))
    arguments = (_handle(), c_int(rows), *diagonals, c_int(batch), c_int(rows))
    size = c_size_t()
    _done(library.cusparseCgtsv2StridedBatch_bufferSizeExt(*arguments, byref(size)))
    buffer = torch.empty(size.value, dtype=torch.uint8, device=x.device)
    _done(library.cusparseCgtsv2StridedBatch(*arguments, c_void_p(buffer.data_ptr())))
    return x


def _done(status: int) -> None:
    if status:
        raise RuntimeError(f"CUDA's cuSPARSE failed with status {status}")
