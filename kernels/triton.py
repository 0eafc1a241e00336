"""What the Triton kernels of several operators share: products, complex numbers, and what the interpreter lacks."""

from __future__ import annotations

from functools import cache
from typing import no_type_check  # for functions that Triton reads as text: a shape checker must not wrap them

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


def power_of_2(size: int) -> int:
    """Return the next power of two, at least 16, the least side of a product's tile."""
    return max(16, triton.next_power_of_2(size))


@cache
def following() -> dict[str, bool]:
    """Return how a kernel that calls `follow` is launched.

    From an H100 on its programs take their places while those of the launch before still run, and wait there.
    """
    if INTERPRETED.value:
        return {"FOLLOWS": False}
    target = triton.runtime.driver.active.get_current_target()
    ahead = target.backend == "cuda" and target.arch >= 90
    return {"FOLLOWS": True, "launch_pdl": True} if ahead else {"FOLLOWS": False}


@triton.jit
@no_type_check
def follow(FOLLOWS: tl.constexpr):
    """Let the programs of the next launch take their places, and wait for all that the launch before has written."""
    if FOLLOWS:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
@no_type_check
def rounded(x):
    """Return x in bfloat16, rounded to nearest."""
    if INTERPRETED:  # whose conversion truncates, and whose products take the bits of a bfloat16 for numbers
        bits = x.to(tl.float32).to(tl.int32, bitcast=True)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & -65536).to(tl.float32, bitcast=True)
    else:  # noqa: RET505  (Triton compiles one branch)
        return x.to(tl.bfloat16)


@triton.jit
@no_type_check
def dot(a, b, PRECISION: tl.constexpr):
    """Return a b: the products of a and b as they are, added up in float32."""
    if INTERPRETED:  # which would multiply the bits of a bfloat16
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
@no_type_check
def reciprocal(x):
    """Return 1 / x, off by a unit in the last place, in one instruction; a division is eight, and serves all x."""
    if INTERPRETED:
        return 1.0 / x
    else:  # noqa: RET505  (Triton compiles one branch)
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1)


@triton.jit
@no_type_check
def log2(x):
    """Return log2(x), off by 2^-22 at most, in one instruction; `tl.log2` takes some twenty and a branch."""
    if INTERPRETED:
        return tl.log2(x)
    else:  # noqa: RET505  (Triton compiles one branch)
        return tl.inline_asm_elementwise("lg2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1)


@triton.jit
@no_type_check
def times(x_r, x_i, y_r, y_i):
    """Return the product of two complex numbers."""
    return x_r * y_r - x_i * y_i, x_r * y_i + x_i * y_r


@triton.jit
@no_type_check
def load_run(x, first, low, high, re, BLOCK: tl.constexpr):
    """Return both parts of the complex x[first : first + BLOCK]; `re` + 0i where an index is not in low..high - 1.

    They lie side by side, and are fetched 16 bytes at a time.
    """
    flat = tl.arange(0, 2 * BLOCK)
    at = 2 * first + flat
    other = tl.where(flat % 2 == 0, re, 0.0)
    return tl.split(tl.reshape(tl.load(x + at, mask=(at >= 2 * low) & (at < 2 * high), other=other), (BLOCK, 2)))


@triton.jit
@no_type_check
def store_run(x, first, high, re, im, BLOCK: tl.constexpr):
    """Write re + i im to the complex x[first : first + BLOCK], below index `high`."""
    at = 2 * first + tl.arange(0, 2 * BLOCK)
    tl.store(x + at, tl.reshape(tl.join(re, im), (2 * BLOCK,)), mask=at < 2 * high)
