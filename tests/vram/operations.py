"""Single operations on tensors of many shapes and strides, by families.

Every case makes its tensors anew, so that nothing of an earlier one is left in the allocator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Call = Callable[[], object]
Untyped = tuple[str, int, Callable[..., Call]]
"""Name, elements of its largest tensor, and what prepares the call with what makes tensors of a type."""

LAYOUTS: dict[str, Callable[..., Tensor]] = {
    "plain": lambda make, n, m: make(n, m),
    "transposed": lambda make, n, m: make(m, n).t(),
    "sliced": lambda make, n, m: make(n, 2 * m)[:, :m],
    "offset": lambda make, n, m: make(n, m + 4)[:, 1 : m + 1],
    "stepped": lambda make, n, m: make(n, 2 * m)[:, ::2],
    "one number": lambda make, n, m: make(()).expand(n, m),
    "one row": lambda make, n, m: make(1, m).expand(n, m),
    "one column": lambda make, n, m: make(n, 1).expand(n, m),
}
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum over rows": lambda x: x.sum(0),
    "sum over columns": lambda x: x.sum(1),
    "sum": lambda x: x.sum(),
    "mean over rows": lambda x: x.mean(0),
    "std over rows": lambda x: x.std(0),
    "mean": lambda x: x.mean(),
    "amax over rows": lambda x: x.amax(0),
    "amax over columns": lambda x: x.amax(1),
    "amax": lambda x: x.amax(),
    "norm": torch.linalg.vector_norm,
    "norm over rows": lambda x: torch.linalg.vector_norm(x, dim=0),
    "variance over columns": lambda x: x.var(1),
    "argmax over rows": lambda x: x.argmax(0),
    "argmax": lambda x: x.argmax(),
}
ROWWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: F.softmax(x, -1),
    "softmax over rows": lambda x: F.softmax(x, 0),
    "softmax in single precision": lambda x: F.softmax(x, -1, dtype=torch.float32),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "log_softmax in single precision": lambda x: F.log_softmax(x, -1, dtype=torch.float32),
    "dropout": lambda x: F.dropout(x, 0.1),
    "cumsum over rows": lambda x: x.cumsum(0),
    "cumsum over columns": lambda x: x.cumsum(1),
    "cumsum in single precision": lambda x: x.cumsum(0, dtype=torch.float32),
}
PRODUCTS: dict[str, Callable[..., Call]] = {
    "mm left": lambda make, of, a, b, c: partial(torch.mm, of(make, a, b), make(b, c)),
    "mm right": lambda make, of, a, b, c: partial(torch.mm, make(a, b), of(make, b, c)),
    "addmm left": lambda make, of, a, b, c: partial(torch.addmm, make(c), of(make, a, b), make(b, c)),
    "bmm left": lambda make, of, a, b, c: partial(torch.bmm, of(make, a, b).expand(3, a, b), make(3, b, c)),
    "baddbmm right": lambda make, of, a, b, c: partial(
        torch.baddbmm, make(1, 1, c), make(3, a, b), of(make, b, c).expand(3, b, c)
    ),
    "linear backward": lambda make, of, a, b, c: _both(
        F.linear, of(make, a, b).requires_grad_(), make(c, b, grad=True), make(c, grad=True)
    ),
}


def _both(forward: Callable[..., Tensor], *inputs: Tensor, gradient: Callable[..., Tensor] = torch.ones_like) -> Call:
    """Forward, and backward from a gradient that is made in between."""

    def call() -> None:
        out = forward(*inputs)
        torch.autograd.grad(out, [x for x in inputs if x.requires_grad], gradient(out))

    return call


def _reductions() -> Iterator[Untyped]:
    few = list(REDUCTIONS)[:5]
    for n, m in ((1, 50257), (64, 4096), (300, 8), (1000, 128), (4096, 1000), (16384, 50), (7, 100)):
        for layout, name in product(LAYOUTS, REDUCTIONS):
            if layout == "plain" or name in few:
                if n * m == m and "over rows" in name and name.startswith(("std", "variance")):
                    continue  # of one value, PyTorch warns
                yield (
                    f"{name} {layout} {n}x{m}",
                    n * m,
                    lambda make, n=n, m=m, layout=layout, name=name: partial(
                        REDUCTIONS[name], LAYOUTS[layout](make, n, m)
                    ),
                )


def _products() -> Iterator[Untyped]:
    for a, b, c in ((512, 64, 512), (100, 4, 512), (7, 9, 11), (1023, 512, 1000)):
        for layout, name in product(LAYOUTS, PRODUCTS):
            if layout != "plain" or "left" in name or "backward" in name:
                prepare = partial(PRODUCTS[name], of=LAYOUTS[layout], a=a, b=b, c=c)
                yield f"{name} {layout} {a}x{b}x{c}", 3 * max(a * b, b * c, a * c), prepare


def _norms() -> Iterator[Untyped]:
    def layer(make: Callable[..., Tensor], layout: str, n: int, d: int) -> Call:
        x = LAYOUTS[layout](make, n, d).requires_grad_()
        given = x, make(d, grad=True), make(d, grad=True)
        return _both(lambda x, w, b: F.layer_norm(x, (d,), w, b), *given, gradient=_expanded_too(n))

    def root(make: Callable[..., Tensor], layout: str, n: int, d: int) -> Call:
        x = LAYOUTS[layout](make, n, d).requires_grad_()
        return _both(lambda x, w: F.rms_norm(x, (d,), w), x, make(d, grad=True), gradient=_expanded_too(n))

    for d, n in product((8, 64, 512, 1000, 4096), (5, 16, 1000, 4096, 70000)):
        if n * d < 2e7:
            for layout in ("plain", "transposed"):
                yield f"layer_norm {layout} {n}x{d}", n * d, partial(layer, layout=layout, n=n, d=d)
                yield f"rms_norm {layout} {n}x{d}", n * d, partial(root, layout=layout, n=n, d=d)


def _expanded_too(n: int) -> Callable[[Tensor], Tensor]:
    """A gradient as a sum sends it, or, of an even number of rows, a whole one."""
    return torch.ones_like if n % 2 == 0 else lambda out: out.new_ones(()).expand_as(out)


def _rowwise() -> Iterator[Untyped]:
    for n, d in ((5, 40), (64, 1000), (1024, 4096), (511, 50257)):
        for name, of in ROWWISE.items():
            yield f"{name} {n}x{d}", n * d, lambda make, n=n, d=d, of=of: _both(of, make(n, d, grad=True))
        yield (
            f"cross_entropy {n}x{d}",
            n * d,
            lambda make, n=n, d=d: _both(partial(F.cross_entropy, target=_indices(make, d, n)), make(n, d, grad=True)),
        )


def _indices(make: Callable[..., Tensor], below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, device=make(()).device)


def _convolutions() -> Iterator[Untyped]:
    for b, d, n in ((1, 16, 64), (2, 24, 512), (4, 8, 1000), (1, 20, 77)):

        def convolve(x: Tensor, weight: Tensor, d: int = d) -> Tensor:
            return F.conv1d(x, weight, padding=1, groups=d)

        def across(x: Tensor, weight: Tensor, d: int = d) -> Tensor:
            return F.conv1d(x.transpose(1, 2), weight, padding=1, groups=d).transpose(1, 2)

        for name, of, shape in (("plain", convolve, (b, d, n)), ("transposed", across, (b, n, d))):
            yield (
                f"depthwise {name} {b}x{d}x{n}",
                b * d * n,
                lambda make, of=of, shape=shape, d=d: _both(of, make(*shape, grad=True), make(d, 1, 3, grad=True)),
            )


def _lookups() -> Iterator[Untyped]:
    for (v, d), n in product(((100, 16), (1000, 64), (10000, 512)), (1, 5, 100, 768, 1024, 3072)):
        yield (
            f"embedding {n} of {v}x{d}",
            v * d,
            lambda make, v=v, d=d, n=n: _both(partial(F.embedding, _indices(make, v, 1, n)), make(v, d, grad=True)),
        )
        if n <= 1024:
            yield (
                f"index {n} of {v}x2x{d}",
                2 * v * d,
                lambda make, v=v, d=d, n=n: _both(
                    lambda table, at: table[at], make(v, 2, d, grad=True), _indices(make, v, 1, n)
                ),
            )


def _attentions() -> Iterator[Untyped]:
    ways = {"": {}, " causal": {"is_causal": True}, " dropout": {"dropout_p": 0.1}}
    widths, lengths = (8, 40, 64, 100, 128, 160, 256, 264, 458, 512), ((1, 512), (17, 17), (64, 2048), (1000, 1000))
    shapes = [(1, 8, n, m, d) for (n, m), d in product((*lengths, (128, 512), (2048, 2048)), widths)]
    shapes += [(3, 5, n, m, d) for (n, m), d in product(((128, 128), (1000, 1000)), (36, 64, 96, 200, 320))]
    for (b, h, n, m, d), way, backward in product(shapes, ways, (False, True)):
        if (backward or not way) and (n == m or "causal" not in way):
            name = f"attention{way}{' backward' * backward} {b}x{h}x{n}x{d} on {m}"
            size = b * h * max(n * d, m * d, n * m)
            yield name, size, partial(_attention, q=(b, n, h, d), m=m, backward=backward, **ways[way])


def _attention(make: Callable[..., Tensor], *, q: tuple[int, ...], m: int, backward: bool, **way: Any) -> Call:
    b, _, h, d = q
    inputs = [make(*shape, grad=backward).transpose(1, 2) for shape in (q, (b, m, h, d), (b, m, h, d))]
    attend = partial(F.scaled_dot_product_attention, **way)
    return _both(attend, *inputs) if backward else partial(attend, *inputs)


FAMILIES = (_reductions, _products, _norms, _rowwise, _convolutions, _lookups, _attentions)
