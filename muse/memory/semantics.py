"""Let fake CPU tensors do as CUDA does, so that a prediction sees the copies that a GPU would make.

Autocast follows CUDA's lists; dropout and attention are the fused ones.

CPU autocast already has CUDA's list of half-precision operations; it lacks most of the float32 list.
Source: "Autocast Op Reference", PyTorch documentation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._pytree import tree_map

from muse.memory.card import Card
from muse.memory.hidden.attention import backend

CAST_TO_FLOAT32 = [
    "acos",
    "asin",
    "cosh",
    "erfinv",
    "exp",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "reciprocal",
    "rsqrt",
    "sinh",
    "tan",
    "softplus",
    "logsumexp",
    "pow.Tensor_Scalar",
    "pow.Tensor_Tensor",
    "pow.Scalar",
    "layer_norm",
    "native_layer_norm",
    "group_norm",
]
"""Operations that first copy their inputs to float32."""

ACCUMULATE_IN_FLOAT32 = [
    "softmax.int",
    "log_softmax.int",
    "cumsum",
    "cumprod",
    "sum",
    "sum.dim_IntList",
    "linalg_vector_norm",
]
"""Operations that read half precision and write float32, without a copy."""

LEFT_ALONE = ["cross_entropy_loss"]
"""On the CPU's list and not on CUDA's: its logarithms stay in half precision, and only what is summed is cast."""

_HALF = (torch.float16, torch.bfloat16)
_KEY = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)


@contextmanager
def as_cuda(card: Card) -> Iterator[None]:
    """Let CPU tensors do as `card` does.

    Wherever autocast is on it follows CUDA's lists; dropout keeps one byte per element; attention is what CUDA picks.
    Autocast itself is switched on by ``torch.autocast("cpu", ...)``, which a checkpoint's recomputation repeats.
    """
    library = torch.library.Library("aten", "IMPL")
    try:
        for name in CAST_TO_FLOAT32:
            library.impl(name, _casting(_operator(name)), "AutocastCPU")
        for name in ACCUMULATE_IN_FLOAT32:
            library.impl(name, _accumulating(_operator(name)), "AutocastCPU")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the CPU's own rule is overridden
            for name in LEFT_ALONE:
                library.impl(name, torch.library.fallthrough_kernel, "AutocastCPU")
        library.impl("dropout", _dropout, "AutogradCPU")
        library.impl("linear", _linear, "AutogradCPU")
        for name in ("softmax", "log_softmax"):
            library.impl(f"{name}.int", _softmax(_operator(f"_{name}")), "AutogradCPU")
        library.impl("_fused_rms_norm", _fused_rms_norm, "CPU")
        library.impl("scaled_dot_product_attention", partial(_attention, card), "AutogradCPU")
        yield
    finally:
        library._destroy()


def _dropout(x: torch.Tensor, p: float, train: bool) -> torch.Tensor:  # noqa: FBT001  # the operator's signature
    dropped: torch.Tensor = torch.native_dropout(x, p, train)[0] if train and p > 0 else x
    return dropped


def _softmax(operator: Callable[..., Any]) -> Callable[..., Any]:
    """Of float16 alone, the kernel makes single precision by itself."""

    def run(x: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> Any:
        if x.dtype is torch.float16 and dtype is torch.float32:
            return operator(x, dim, True)  # noqa: FBT003  # the operator's
        return operator(x if dtype is None else x.to(dtype), dim, False)  # noqa: FBT003  # so too

    return run


def _fused_rms_norm(*given: Any) -> Any:
    """Is there and never runs: where the CPU has a kernel of its own, PyTorch keeps the operation whole, as on CUDA."""
    raise AssertionError(given)


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """As plain tensors are mapped; under a mode, PyTorch adds the bias out of place. Source: ATen/native/Linear.cpp."""
    if bias is None:
        return x.matmul(weight.t())
    if x.dim() == 2:
        return torch.addmm(bias, x, weight.t())
    if x.dim() == 3 and x.is_contiguous():
        return torch.addmm(bias, x.flatten(0, 1), weight.t()).unflatten(0, x.shape[:2])
    return x.matmul(weight.t()).add_(bias)


def _attention(  # noqa: PLR0913, PLR0917  # the operator's signature
    card: Card,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002  # so too
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    assert not enable_gqa
    aten = torch.ops.aten
    grows = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    out: torch.Tensor
    match backend(query, key, dropout_p, card):
        case "math":
            math = aten._scaled_dot_product_attention_math
            out = math(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)[0]
        case "efficient":
            fused = aten._scaled_dot_product_efficient_attention
            out = fused(query, key, value, attn_mask, grows, dropout_p, is_causal, scale=scale)[0]
        case "cudnn":
            fused = aten._scaled_dot_product_cudnn_attention
            out = fused(query, key, value, attn_mask, grows, dropout_p, is_causal, scale=scale)[0]
        case _:
            assert attn_mask is None
            out = _flash(query, key, value, dropout_p, is_causal, scale or query.shape[-1] ** -0.5)
    return out


def _flash(  # noqa: PLR0913, PLR0917  # the operator's signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout_p: float,
    is_causal: bool,  # noqa: FBT001  # so too
    scale: float,
) -> torch.Tensor:
    """Heads padded to a multiple of 8, and cut again."""
    width = query.shape[-1]
    if width % 8:
        query, key, value = (F.pad(x, (0, 8 - width % 8)) for x in (query, key, value))
    fused = torch.ops.aten._scaled_dot_product_flash_attention
    out: torch.Tensor = fused(query, key, value, dropout_p, is_causal, scale=scale)[0]
    return out[..., :width]


def _operator(name: str) -> Callable[..., Any]:
    packet, _, overload = name.partition(".")
    operator: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload or "default")
    return operator


def _casting(operator: Callable[..., Any]) -> Callable[..., Any]:
    def to_float32(value: Any) -> Any:
        return value.float() if isinstance(value, torch.Tensor) and value.dtype in _HALF else value

    def run(*args: Any, **kwargs: Any) -> Any:
        last_first = [tree_map(to_float32, value) for value in reversed(args)]  # as compilers evaluate C++'s arguments
        with torch._C._ExcludeDispatchKeyGuard(_KEY):
            return operator(*reversed(last_first), **tree_map(to_float32, kwargs))

    return run


def _accumulating(operator: Callable[..., Any]) -> Callable[..., Any]:
    place = [argument.name for argument in operator._schema.arguments].index("dtype")  # type: ignore[attr-defined]

    def run(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        stated = args[place - 1] if len(args) >= place else kwargs.get("dtype")
        with torch._C._ExcludeDispatchKeyGuard(_KEY):
            if x.dtype in _HALF and stated is None:
                return operator(x, *args[: place - 1], **{**kwargs, "dtype": torch.float32})
            return operator(x, *args, **kwargs)

    return run
