"""What others compute the same with, or the nearest that there is: each beside what it must agree with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from muse.errors import Unmeasured
from muse.probes.cusparse import solve

LARGEST_ERROR = 0.05
"""How far a peer's result may lie from double precision, as a share of the largest element: a peer may round more
than we do, and must not compute something else."""

Arrange = Callable[[dict[str, Any], Callable[..., Tensor]], dict[str, Any]]


def _as_they_are(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    return inputs


def _anything(inputs: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True)
class Peer:
    """A function by others."""

    call: Callable[..., Tensor]
    package: str = "torch"
    """Its import name."""
    distribution: str = "torch"
    """What to install for it."""
    arrange: Arrange = _as_they_are
    """The operator's inputs and definition to this function's arguments, laid out as it likes them; not timed."""
    truth: Callable[..., Tensor] | None = None
    """What it computes, where that is not what the operator computes."""
    fits: Callable[[Mapping[str, Any]], bool] = _anything
    """Whether it can do these inputs."""
    differentiable: bool = True

    def require(self) -> None:
        """Raise Unmeasured where it is not installed."""
        if find_spec(self.package) is None:
            raise Unmeasured("no_peer", f"{self.distribution} is not installed; pip install '.[peers]'")

    def require_agreement(
        self, name: str, arguments: Mapping[str, Any], definition: Callable[..., Tensor], *, backward: bool
    ) -> None:
        """Raise Unmeasured where its result, or a gradient, is not its truth's in double precision."""
        exact = results(self.truth or definition, {k: _wide(x) for k, x in arguments.items()}, backward=backward)
        found = results(self.call, arguments, backward=backward)
        for part, truth in exact.items():
            error = float((found[part].to(truth.dtype) - truth).abs().max() / truth.abs().max())
            if not error <= LARGEST_ERROR:
                told = f"{part} of {name} is off by {error:.2g} of its largest element; {LARGEST_ERROR} are allowed"
                raise Unmeasured("peer_disagrees", told)


def peer(operator: str, name: str) -> Peer:
    """A peer of an operator. Raises Unmeasured where there is none of that name, or where it is not installed."""
    found = PEERS.get(operator, {}).get(name)
    if found is None:
        raise Unmeasured("no_peer", f"{operator} has no peer {name!r}, only {', '.join(PEERS.get(operator, {}))}")
    found.require()
    return found


def results(function: Callable[..., Tensor], arguments: Mapping[str, Any], *, backward: bool) -> dict[str, Tensor]:
    """The output, and with `backward` the gradient of every floating argument, for fixed random directions."""
    given = {name: leaf(x) for name, x in arguments.items()} if backward else arguments
    with torch.set_grad_enabled(backward):
        out = function(**given)
    if not backward:
        return {"out": out}
    leaves = {f"d{name}": x for name, x in given.items() if isinstance(x, Tensor) and x.requires_grad}
    sent = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    gradients = torch.autograd.grad(out, list(leaves.values()), sent.to(out.device, out.dtype))
    return {"out": out.detach(), **dict(zip(leaves, gradients, strict=True))}


def leaf(x: Any) -> Any:
    """A floating tensor as one that wants a gradient, in the same memory; anything else as it is."""
    differentiable = isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())
    return x.detach().requires_grad_() if differentiable else x


def _wide(x: Any) -> Any:
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
        return x
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def _plain_fit(inputs: Mapping[str, Any]) -> bool:
    return inputs.get("curvature") is None and inputs.get("feature") == "elu"


def _tokens_first(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    """Queries, keys and values stored token by token, and seen head by head."""
    stored = {name: inputs[name].transpose(1, 2).contiguous().transpose(1, 2) for name in "qkv"}
    return {**inputs, **stored}


def _fla(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, feature: str) -> Tensor:
    attend = import_module("fla.ops.linear_attn").chunk_linear_attn
    q, k, v = (x.transpose(1, 2) for x in (F.elu(q) + 1, F.elu(k) + 1, v))
    return attend(q, k, v, scale=1.0, normalize=True)[0].transpose(1, 2)


def _scanned(a: Tensor, b: Tensor) -> Tensor:
    return import_module("accelerated_scan.scalar").scan(a, b)


def _cumsum(a: None, b: Tensor) -> Tensor:
    return b.cumsum(-1)


def _table(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    core1, core2 = inputs["core1"], inputs["core2"]
    every = torch.arange(len(core1) * len(core2), device=core1.device)
    return {"index": inputs["index"], "table": definition(**{**inputs, "index": every})}


def _embedding(index: Tensor, table: Tensor) -> Tensor:
    return F.embedding(index, table)


def _softmax(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(scores.new_ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return scores.softmax(-1) @ v


def _flash(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def _points(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    return {name: inputs[name] for name in ("q", "k", "v", "causal")}


def _flex(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, **ball: Tensor) -> Tensor:
    """The same score as a modification of flex attention's: of q . k, given both squares."""
    flex, beta, curvature = import_module("torch.nn.attention.flex_attention"), ball["beta"], ball["curvature"]
    qq, kk = (curvature * x.float().square().sum(-1) for x in (q, k))
    steepness = -2 * beta / curvature.sqrt()

    def score(product: Tensor, batch: Tensor, head: Tensor, n: Tensor, m: Tensor) -> Tensor:
        q_square, k_square = qq[batch, head, n], kk[batch, head, m]
        apart = (q_square + k_square - 2 * curvature * product).relu() / ((1 - q_square) * (1 - k_square))
        return steepness * torch.asinh(apart.sqrt())

    mask = flex.create_block_mask(_earlier, None, None, q.shape[2], k.shape[2], device=q.device) if causal else None
    attend = _compiled(flex.flex_attention, "inductor" if q.is_cuda else "eager")
    return attend(q, k, v, score_mod=score, block_mask=mask, scale=1.0)


@cache
def _compiled(function: Callable[..., Tensor], backend: str) -> Callable[..., Tensor]:
    return torch.compile(function, backend=backend)


def _earlier(batch: Tensor, head: Tensor, n: Tensor, m: Tensor) -> Tensor:
    return n >= m


def _full_rank(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    x, features = inputs["x"], len(inputs["expand"])
    random = torch.Generator(x.device).manual_seed(0)

    def weights(rows: int, columns: int) -> Tensor:
        made = torch.randn(rows, columns, generator=random, device=x.device) * columns**-0.5
        return made.to(x.dtype)

    return {"x": x, "up": weights(features, x.shape[-1]), "down": weights(x.shape[-1], features)}


def _head(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    """A dense head of the same width, its vocabulary rounded up to what the matrix library is fast at."""
    hidden, rows = inputs["hidden"], -(-inputs["vocabulary"] // 64) * 64
    random = torch.Generator(hidden.device).manual_seed(0)
    weight = torch.randn(rows, hidden.shape[-1], generator=random, device=hidden.device) * hidden.shape[-1] ** -0.5
    return {"hidden": hidden, "weight": weight.to(hidden.dtype)}


def _projected(hidden: Tensor, weight: Tensor) -> Tensor:
    return F.linear(hidden, weight)


def _dense(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return F.linear(F.gelu(F.linear(x, up)), down)


def _liger(hidden: Tensor, weight: Tensor, target: Tensor, down: Tensor | None = None) -> Tensor:
    fused = import_module("liger_kernel.ops.fused_linear_cross_entropy").LigerFusedLinearCrossEntropyFunction
    return fused.apply(hidden if down is None else F.linear(hidden, down), weight, target)[0]


def _cut(hidden: Tensor, weight: Tensor, target: Tensor, down: Tensor | None = None) -> Tensor:
    cut = import_module("cut_cross_entropy").linear_cross_entropy
    return cut(hidden if down is None else F.linear(hidden, down), weight, target)


def _shifted(inputs: dict[str, Any], definition: Callable[..., Tensor]) -> dict[str, Any]:
    """The diagonals of T - z I as cuSPARSE wants them, and a right side of ones, which it overwrites."""
    a, b, c, z = (inputs[name].to(torch.complex64) for name in "abcz")
    return {"lower": F.pad(c, (1, 0)), "middle": a - z[:, None], "upper": F.pad(b, (0, 1)), "x": torch.ones_like(a)}


def _solved(lower: Tensor, middle: Tensor, upper: Tensor, x: Tensor) -> Tensor:
    from scipy.linalg import solve_banded

    bands = torch.stack([upper.roll(1, -1), middle, lower.roll(-1, -1)], 1).cpu().numpy()
    right = torch.ones(x.shape[-1], dtype=x.dtype).numpy()
    return torch.stack([torch.from_numpy(solve_banded((1, 1), band, right)) for band in bands]).to(x.device)


PEERS: dict[str, dict[str, Peer]] = {
    "bk_core": {"cusparse": Peer(solve, arrange=_shifted, truth=_solved, differentiable=False)},
    "hyperbolic_attention": {
        "flex": Peer(_flex, differentiable=False),
        "sdpa": Peer(_flash, arrange=_points, truth=_softmax),
    },
    "linear_attention": {"fla": Peer(_fla, "fla", "fla-core", arrange=_tokens_first, fits=_plain_fit)},
    "linear_cross_entropy": {
        "cut_cross_entropy": Peer(_cut, "cut_cross_entropy", "cut-cross-entropy"),
        "liger": Peer(_liger, "liger_kernel", "liger-kernel"),
    },
    "linear_scan": {
        "accelerated_scan": Peer(
            _scanned, "accelerated_scan", "accelerated-scan", fits=lambda inputs: inputs["a"] is not None
        ),
        "cumsum": Peer(_cumsum, fits=lambda inputs: inputs["a"] is None),
    },
    "low_rank_ffn": {"dense": Peer(_dense, arrange=_full_rank, truth=_dense)},
    "tensor_train": {"embedding": Peer(_embedding, arrange=_table, truth=_embedding)},
    "tensor_train_logits": {"dense": Peer(_projected, arrange=_head, truth=_projected)},
}
