"""Inside `cuda_autocast`, CPU tensors have the dtypes that CUDA's autocast would give them."""

import pytest
import torch
import torch.nn.functional as F

from muse.memory.semantics import ACCUMULATE_IN_FLOAT32, CAST_TO_FLOAT32, cuda_autocast

HALVES = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("name", [*CAST_TO_FLOAT32, *ACCUMULATE_IN_FLOAT32])
def test_every_listed_operation_is_cast_by_cuda_and_not_by_cpu(name):
    """A name that CUDA does not cast, or that CPU casts already, has no place in the lists."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    assert (has(f"aten::{name}", "AutocastCUDA"), has(f"aten::{name}", "AutocastCPU")) == (True, False)


@pytest.mark.parametrize("half", HALVES)
def test_a_layer_norm_is_float32(half):
    """Its half-precision input, weight and bias are copied to float32 first."""
    with cuda_autocast(half):
        out = F.layer_norm(torch.randn(3, 4, dtype=half), (4,), torch.ones(4, dtype=half), torch.zeros(4, dtype=half))
    assert out.dtype is torch.float32


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float32])
def test_a_linear_map_is_half(half, given):
    """Whatever it is given, a matrix product runs in the autocast's dtype."""
    with cuda_autocast(half):
        assert F.linear(torch.randn(3, 4, dtype=given), torch.randn(5, 4, dtype=given)).dtype is half


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.sum(),
        lambda x: x.sum(-1),
        lambda x: x.softmax(-1),
        lambda x: x.log_softmax(-1),
        lambda x: x.cumsum(0),
        lambda x: x.norm(dim=-1),
        lambda x: x.pow(2),
        lambda x: 2**x,
        lambda x: x.exp(),
        lambda x: x.rsqrt(),
        F.softplus,
        lambda x: F.rms_norm(x, (4,)),
    ],
)
def test_a_reduction_or_a_steep_function_of_half_is_float32(operation):
    """It is computed where half precision would overflow or lose digits."""
    with cuda_autocast(torch.float16):
        assert operation(torch.rand(3, 4, dtype=torch.float16)).dtype is torch.float32


@pytest.mark.parametrize("operation", [lambda x: x + x, lambda x: x * 2, F.gelu, F.elu, torch.tanh, torch.sqrt])
def test_any_other_operation_keeps_its_dtype(operation):
    """What autocast does not list runs in the dtype it is given."""
    with cuda_autocast(torch.float16):
        assert operation(torch.rand(3, 4, dtype=torch.float16)).dtype is torch.float16


def test_a_dtype_that_is_asked_for_is_given():
    """`sum(dtype=...)` is not overruled."""
    with cuda_autocast(torch.float16):
        assert torch.ones(3, dtype=torch.float16).sum(dtype=torch.float16).dtype is torch.float16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_a_sum_of_anything_but_half_is_left_alone(dtype):
    """Only half precision is widened."""
    with cuda_autocast(torch.float16):
        assert torch.ones(3, dtype=dtype).sum().dtype is dtype


def test_the_values_are_those_of_float32():
    """A sum of 100,000 ones does not overflow half precision."""
    with cuda_autocast(torch.float16):
        assert torch.ones(100_000, dtype=torch.float16).sum() == 100_000


def autocast_of_the_cpu():
    """Return what CPU autocast to float16 makes of a normalisation and of a sum."""
    with torch.autocast("cpu", dtype=torch.float16):
        x = torch.rand(3, 4, dtype=torch.float16)
        return F.layer_norm(x, (4,)).dtype, x.sum().dtype


def test_nothing_is_left_behind():
    """CPU autocast afterwards is CPU autocast as before."""
    before = autocast_of_the_cpu()
    with cuda_autocast(torch.float16):
        within = autocast_of_the_cpu()
    assert (within != before, autocast_of_the_cpu()) == (True, before)


def test_nothing_is_left_behind_by_a_failure():
    """A model that fails in the middle of a prediction does not change the next one."""
    before = autocast_of_the_cpu()
    with pytest.raises(ZeroDivisionError), cuda_autocast(torch.float16):
        _ = 1 / 0
    assert (autocast_of_the_cpu(), torch.is_autocast_enabled("cpu")) == (before, False)
