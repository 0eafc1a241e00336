"""Memory that no tensor shows: what CUDA's operations allocate inside themselves, from PyTorch's own arithmetic.

It holds for PyTorch 2.11 and depends on the card. Each rule was compared with an H100, operation by operation, to the
byte: `tests/unit/memory/hidden` holds what was measured, and `tests/vram/test_hidden_memory.py` measures it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from muse.memory.card import Card
from muse.memory.hidden import attention, indices, operands, reductions
from muse.memory.hidden.phases import Phases

Arguments = dict[str, Any]
Rule = Callable[[Arguments, Card], Phases]


def hidden(func: Any, args: Sequence[Any], kwargs: dict[str, Any], card: Card) -> Phases:
    """What the operation `func` allocates on `card` beyond its results; nothing where no rule knows of any."""
    rule = RULES.get(str(func))
    return rule(_named(func, args, kwargs), card) if rule else []


def _named(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Arguments:
    """The arguments by the names of the operation's schema; those not given, by default."""
    schema = func._schema.arguments
    given = {one.name: one.default_value for one in schema}
    return given | dict(zip((one.name for one in schema), args, strict=False)) | kwargs


def _of(rule: Callable[..., Phases], *names: str) -> Rule:
    """A rule of these arguments alone."""

    def run(given: Arguments, card: Card) -> Phases:  # every rule may ask for it
        return rule(*(given[name] for name in names))

    return run


def _on(rule: Callable[..., Phases], *names: str) -> Rule:
    """A rule of these arguments and of the card."""
    return lambda given, card: rule(*(given[name] for name in names), card)


def _reduction(accumulator: int = 4, vector: int = 4) -> Rule:
    """Of a reduction whose partial results take `accumulator` bytes."""
    return lambda given, card: reductions.of(given["self"], _dims(given), card, accumulator, vector)


def _dims(given: Arguments) -> list[int]:
    dim = given.get("dim")
    return [] if dim is None else [dim] if isinstance(dim, int) else list(dim)


_SDPA = "aten._scaled_dot_product_"
RULES: dict[str, Rule] = {
    "aten.sum.default": _reduction(),
    "aten.sum.dim_IntList": _reduction(),
    "aten.mean.default": _reduction(),
    "aten.mean.dim": _reduction(),
    "aten.linalg_vector_norm.default": _reduction(),
    "aten.amax.default": lambda given, card: _reduction(given["self"].element_size())(given, card),
    "aten.argmax.default": _reduction(accumulator=16),
    "aten.std.correction": _reduction(accumulator=16, vector=2),
    "aten.var.correction": _reduction(accumulator=16, vector=2),
    "aten.mm.default": _of(operands.product, "self", "mat2"),
    "aten.bmm.default": _of(operands.product, "self", "mat2"),
    "aten.addmm.default": _of(operands.product, "mat1", "mat2"),
    "aten.baddbmm.default": _of(operands.product, "batch1", "batch2"),
    "aten.native_layer_norm.default": _of(operands.contiguous, "input"),
    "aten._fused_rms_norm.default": _of(operands.contiguous, "input"),
    "aten.native_layer_norm_backward.default": _on(operands.norm_backward, "grad_out", "input", "weight", "bias"),
    "aten._fused_rms_norm_backward.default": _on(operands.norm_backward, "grad_out", "input", "weight"),
    "aten.convolution.default": _of(operands.depthwise, "groups", "input"),
    "aten.convolution_backward.default": _of(operands.depthwise, "groups", "grad_output", "input"),
    "aten.cumsum.default": _of(indices.cumulative_sum, "self", "dtype"),
    "aten.index_put.default": _of(indices.put, "indices", "values", "accumulate"),
    "aten.index_put_.default": _of(indices.put, "indices", "values", "accumulate"),
    "aten._softmax_backward_data.default": _of(operands.copied, "output"),
    "aten._safe_softmax.default": _of(indices.safe_softmax, "self"),
    f"{_SDPA}efficient_attention.default": _of(attention.efficient, "query", "value"),
    f"{_SDPA}efficient_attention_backward.default": _on(
        attention.efficient_backward, "grad_out_", "query", "key", "value"
    ),
    f"{_SDPA}cudnn_attention.default": _of(attention.cudnn, "query"),
    f"{_SDPA}cudnn_attention_backward.default": _of(attention.cudnn_backward, "query"),
    f"{_SDPA}flash_attention.default": _on(attention.flash, "query", "key", "dropout_p"),
    f"{_SDPA}flash_attention_backward.default": _of(attention.flash_backward, "grad_out", "out", "query"),
}
"""By operation: what it allocates beside its results."""
