"""Memory that no tensor shows: what CUDA's operations allocate inside themselves, from PyTorch's own arithmetic.

It holds for PyTorch 2.11 and depends on the card. Each rule was compared with an H100, operation by operation, to the
byte: `tests/unit/memory/hidden` holds what was measured, and `tests/vram/test_hidden_memory.py` measures it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from muse.memory.card import Card
from muse.memory.hidden import attention, indices, operands, reductions
from muse.memory.hidden.phases import Phases, nbytes

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


def _reduction(accumulator: int = 4, vector: int = 4) -> Rule:
    return lambda a, card: reductions.of(a["self"], _dims(a.get("dim")), card, accumulator, vector)


def _dims(dim: Any) -> list[int]:
    return [] if dim is None else [dim] if isinstance(dim, int) else list(dim)


def _of(rule: Callable[..., Phases], *names: str) -> Rule:
    """A rule of some tensors alone."""
    return lambda a, card: rule(*(a[name] for name in names))


_SDPA = "aten._scaled_dot_product_"
RULES: dict[str, Rule] = {
    **dict.fromkeys(("aten.sum.default", "aten.sum.dim_IntList", "aten.mean.dim"), _reduction()),
    "aten.amax.default": lambda a, card: reductions.of(a["self"], _dims(a["dim"]), card, a["self"].element_size()),
    "aten.linalg_vector_norm.default": _reduction(),
    "aten.argmax.default": _reduction(accumulator=16),
    **dict.fromkeys(("aten.std.correction", "aten.var.correction"), _reduction(accumulator=16, vector=2)),
    "aten.mm.default": _of(operands.product, "self", "mat2"),
    "aten.bmm.default": _of(operands.product, "self", "mat2"),
    "aten.addmm.default": _of(operands.product, "mat1", "mat2"),
    "aten.baddbmm.default": _of(operands.product, "batch1", "batch2"),
    "aten.native_layer_norm.default": _of(operands.norm, "input"),
    "aten._fused_rms_norm.default": _of(operands.norm, "input"),
    "aten.native_layer_norm_backward.default": lambda a, card: operands.norm_backward(
        a["grad_out"], a["input"], (a["weight"], a["bias"]), card
    ),
    "aten._fused_rms_norm_backward.default": lambda a, card: operands.norm_backward(
        a["grad_out"], a["input"], (a["weight"],), card
    ),
    "aten.convolution.default": lambda a, card: operands.norm(a["input"]) if a["groups"] > 1 else [],
    "aten.convolution_backward.default": lambda a, card: (
        operands.depthwise_backward(a["grad_output"], a["input"]) if a["groups"] > 1 else []
    ),
    "aten.cumsum.default": lambda a, card: indices.cumulative_sum(a["self"], a["dim"], a["dtype"]),
    "aten.index_put.default": lambda a, card: indices.put(a["indices"], a["values"]) if a["accumulate"] else [],
    "aten._softmax_backward_data.default": lambda a, card: [(nbytes(a["output"]),)],
    "aten._safe_softmax.default": lambda a, card: indices.safe_softmax(a["self"]),
    f"{_SDPA}efficient_attention.default": _of(attention.efficient, "query", "value"),
    f"{_SDPA}efficient_attention_backward.default": lambda a, card: attention.efficient_backward(
        a["grad_out_"], a["query"], a["key"], a["value"], card
    ),
    f"{_SDPA}cudnn_attention.default": _of(attention.cudnn, "query"),
    f"{_SDPA}cudnn_attention_backward.default": _of(attention.cudnn_backward, "query"),
    f"{_SDPA}flash_attention.default": lambda a, card: attention.flash(a["query"], a["key"], a["dropout_p"], card),
    f"{_SDPA}flash_attention_backward.default": _of(attention.flash_backward, "grad_out", "out", "query"),
}
