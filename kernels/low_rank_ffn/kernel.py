"""r -> f -> r in one kernel, the hidden layer on chip; or a slice of the hidden layer, activated and differentiated.

Matrices come as descriptors: the GPU's copy engine fetches and writes whole tiles, with zeros beyond the edges.
"""

from __future__ import annotations

from typing import no_type_check  # for functions that Triton reads as text

import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from kernels.triton import dot, power_of_2

TILE = {"BT": 128, "BF": 128}
"""Tokens and features of a tile of the hidden layer."""

GROUP = 32
"""Tiles of tokens that share a tile of E before the next one's turn: what all programs read at once stays small."""

DEPTH = 64
"""Channels at rank r that a step of a product takes."""

MULTIPROCESSORS = 132
"""Those of an H100."""

PROGRAMS = 264
"""Programs that form the hidden layer, two for each multiprocessor. Each goes from tile to tile."""

FUSED_TOKENS = 128
"""Tokens of a program of the fused kernel, half of them where that leaves processors without work."""

FUSED_FEATURES = 64
"""Hidden features that a step of the fused kernel takes."""


@triton.jit
@no_type_check
def _tail(a, EXACT: tl.constexpr):
    """Return Phi(-a) for 0 <= a <= 8, with an absolute error of at most 8e-7 unless EXACT.

    The logarithm of a Gaussian's tail is nearly a parabola: a polynomial of degree 5 fits it as closely as weights
    a Phi(-a) ask for. It takes 6 instructions, against 25 of the error function.
    """
    if EXACT:
        return 0.5 - 0.5 * tl.erf(a * 0.7071067811865476)
    else:  # noqa: RET505  (Triton compiles one branch)
        p = a * -0.0005002593970857561 + 0.00728237722069025
        p = a * (a * (a * p - 0.05234323814511299) - 0.4594140648841858) - 1.1510519981384277
        return tl.exp2(a * p - 1.0000019073486328)


@triton.jit
@no_type_check
def _size(x):
    """Return |x| up to 8, beyond which Phi is 0 or 1 in every precision here; NaN stays NaN."""
    return tl.minimum(tl.abs(x), 8.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
@no_type_check
def _act(x, GELU: tl.constexpr, EXACT: tl.constexpr):
    """Return x Phi(x), or max(x, 0)."""
    if GELU:
        return tl.maximum(x, 0.0) - _size(x) * _tail(_size(x), EXACT)
    return tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
@no_type_check
def _slope(x, GELU: tl.constexpr, EXACT: tl.constexpr):
    """Return Phi(x) + x phi(x), or the step."""
    if GELU:
        a = _size(x)
        # phi(a) = 2^(-a^2 / 2 log2(e) - log2(sqrt(2 pi)))
        below = _tail(a, EXACT) - a * tl.exp2(-0.7213475204444817 * a * a - 1.3257480647361593)
        return tl.where(x < 0, below, 1.0 - below)
    return tl.where(x > 0, 1.0, 0.0)


@triton.jit
@no_type_check
def _fused(
    z, expand, contract, out, F,
    GELU: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, BR: tl.constexpr,
):  # fmt: skip
    """A tile of tokens: all hidden features pass by, BF at a time, and add to the output."""
    t = tl.program_id(0) * BT
    tokens = z.load([t, 0])
    total = tl.zeros((BT, BR), tl.float32)
    for f in range(0, F, BF):
        hidden = _act(dot(tokens, expand.load([f, 0]).T, "ieee"), GELU, False).to(z.dtype)
        total += dot(hidden, contract.load([0, f]).T, "ieee")
    out.store([t, 0], total.to(z.dtype))


@triton.jit
@no_type_check
def _place(tile, T, F, BT: tl.constexpr, BF: tl.constexpr, GROUP: tl.constexpr):
    """Return the first token and the first feature of a tile. GROUP tiles of tokens take each tile of features."""
    rows, columns = tl.cdiv(T, BT), tl.cdiv(F, BF)
    first = tile // (GROUP * columns) * GROUP
    height, inside = min(rows - first, GROUP), tile % (GROUP * columns)
    return (first + inside % height) * BT, inside // height * BF


@triton.jit
@no_type_check
def _halves(x):
    """Return the left and the right half of a tile."""
    return x.reshape(x.shape[0], 2, x.shape[1] // 2).permute(0, 2, 1).split()


@triton.jit
@no_type_check
def _expand(
    z, expand, hidden, T, F, R,
    GELU: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, BR: tl.constexpr, GROUP: tl.constexpr,
    PROGRAMS: tl.constexpr,
):  # fmt: skip
    """A = act(z E^T), tile by tile. The loops are one to the compiler: the next tile is on its way during act."""
    for tile in tl.range(tl.program_id(0), tl.cdiv(T, BT) * tl.cdiv(F, BF), PROGRAMS, flatten=True):
        t, f = _place(tile, T, F, BT, BF, GROUP)
        total = tl.zeros((BT, BF), tl.float32)
        for r in range(0, R, BR):
            total += dot(z.load([t, r]), expand.load([f, r]).T, "ieee")
        left, right = _halves(total)
        hidden.store([t, f], _act(left, GELU, False).to(z.dtype))
        hidden.store([t, f + BF // 2], _act(right, GELU, False).to(z.dtype))


@triton.jit
@no_type_check
def _through(
    z, sent, expand, contract, hidden, gradient, T, F, R,
    GELU: tl.constexpr, BT: tl.constexpr, BF: tl.constexpr, BR: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """A tile of H = z E^T and of dL/dact = g C at once: A = act(H), and B = dL/dact act'(H)."""
    t, f = _place(tl.program_id(0), T, F, BT, BF, GROUP)
    h, g = tl.zeros((BT, BF), tl.float32), tl.zeros((BT, BF), tl.float32)
    tl.assume(R > 0)  # else ptxas sees sums that no product has made, and lets every product wait for the one before
    for r in range(0, R, BR):
        h += dot(z.load([t, r]), expand.load([f, r]).T, "ieee")
        g += dot(sent.load([t, r]), contract.load([r, f]), "ieee")
    row, column = tl.arange(0, BT)[:, None], tl.arange(0, BF)[None, :]
    at, known = t.to(tl.int64) * F + f + (row * F + column), (row < T - t) & (column < F - f)
    tl.store(gradient + at, (g * _slope(h, GELU, False)).to(gradient.dtype.element_ty), mask=known)
    tl.store(hidden + at, _act(h, GELU, False).to(hidden.dtype.element_ty), mask=known)


@triton.jit
@no_type_check
def _activate(hidden, size, GELU: tl.constexpr, BLOCK: tl.constexpr):
    """act(h) over h."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    h = tl.load(hidden + at, mask=at < size, other=0.0)
    tl.store(hidden + at, _act(h.to(tl.float32), GELU, h.dtype == tl.float32), mask=at < size)


@triton.jit
@no_type_check
def _both(hidden, gradient, size, GELU: tl.constexpr, BLOCK: tl.constexpr):
    """act(h) over h, and dL/dact act'(h) over dL/dact."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    h = tl.load(hidden + at, mask=at < size, other=0.0)
    g = tl.load(gradient + at, mask=at < size, other=0.0).to(tl.float32)
    exact: tl.constexpr = h.dtype == tl.float32
    h = h.to(tl.float32)
    tl.store(hidden + at, _act(h, GELU, exact), mask=at < size)
    tl.store(gradient + at, g * _slope(h, GELU, exact), mask=at < size)


def _tiles(x: Tensor, height: int, width: int) -> TensorDescriptor:
    """Return what the copy engine must know to move tiles of a matrix."""
    return TensorDescriptor.from_tensor(x, [height, width])


def fused(z: Tensor, expand: Tensor, contract: Tensor, *, gelu: bool) -> Tensor:
    """Return contract act(expand z) for tokens z (T, r), with nothing of size f in memory."""
    (tokens, rank), features = z.shape, expand.shape[0]
    out = z.new_empty(tokens, rank)
    height = FUSED_TOKENS if tokens >= FUSED_TOKENS * MULTIPROCESSORS * 3 // 4 else FUSED_TOKENS // 2
    width = power_of_2(rank)
    _fused[(triton.cdiv(tokens, height),)](
        _tiles(z, height, width), _tiles(expand, FUSED_FEATURES, width), _tiles(contract, width, FUSED_FEATURES),
        _tiles(out, height, width), features, gelu, height, FUSED_FEATURES, width,
        num_warps=height // 16, num_stages=3,
    )  # fmt: skip
    return out


def form(z: Tensor, expand: Tensor, hidden: Tensor, *, gelu: bool) -> None:
    """Write act(z E^T)."""
    (tokens, rank), features, depth = z.shape, expand.shape[0], min(DEPTH, power_of_2(z.shape[1]))
    programs = min(PROGRAMS, triton.cdiv(tokens, TILE["BT"]) * triton.cdiv(features, TILE["BF"]))
    _expand[(programs,)](
        _tiles(z, TILE["BT"], depth), _tiles(expand, TILE["BF"], depth), _tiles(hidden, TILE["BT"], TILE["BF"] // 2),
        tokens, features, rank, gelu, **TILE, BR=depth, GROUP=GROUP, PROGRAMS=programs,
        num_warps=8, num_stages=3, maxnreg=128,  # two programs to a multiprocessor
    )  # fmt: skip


def through(
    z: Tensor, sent: Tensor, expand: Tensor, contract: Tensor, hidden: Tensor, gradient: Tensor, *, gelu: bool
) -> None:
    """Write act(z E^T) to `hidden`, and dL/dh to `gradient`, from the gradient `sent` of the output."""
    (tokens, rank), features, depth = z.shape, expand.shape[0], min(DEPTH, power_of_2(z.shape[1]))
    _through[(triton.cdiv(tokens, TILE["BT"]) * triton.cdiv(features, TILE["BF"]),)](
        _tiles(z, TILE["BT"], depth), _tiles(sent, TILE["BT"], depth), _tiles(expand, TILE["BF"], depth),
        _tiles(contract, depth, TILE["BF"]), hidden, gradient, tokens, features, rank,
        gelu, **TILE, BR=depth, GROUP=GROUP, num_warps=8, num_stages=3,
    )  # fmt: skip


def activate(hidden: Tensor, *, gelu: bool) -> None:
    """Write act(h) over h."""
    block = 1024
    _activate[(triton.cdiv(hidden.numel(), block),)](hidden, hidden.numel(), gelu, BLOCK=block, num_warps=4)


def both(hidden: Tensor, gradient: Tensor, *, gelu: bool) -> None:
    """Write act(h) over h, and dL/dh over dL/dact(h)."""
    block = 1024
    _both[(triton.cdiv(hidden.numel(), block),)](hidden, gradient, hidden.numel(), gelu, BLOCK=block, num_warps=4)
