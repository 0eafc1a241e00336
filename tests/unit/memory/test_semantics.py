"""CPU tensors have the dtypes that CUDA's autocast would give them, and keep what its fused kernels keep."""

from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from muse.memory.card import card
from muse.memory.hidden.attention import backend
from muse.memory.semantics import ACCUMULATE_IN_FLOAT32, CAST_TO_FLOAT32, LEFT_ALONE, as_cuda
from muse.memory.tracker import Tracker

SEEDS = 2 * 512
"""Two numbers that dropout is repeated with."""
HALVES = [torch.float16, torch.bfloat16]
H100, RTX3080 = card("h100"), card("rtx3080-laptop")


@contextmanager
def cuda_autocast(dtype):
    """Autocast to `dtype` as CUDA has it."""
    with as_cuda(H100), torch.autocast("cpu", dtype=dtype):
        yield


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
    ],
)
def test_a_reduction_or_a_steep_function_of_half_is_float32(operation):
    """It is computed where half precision would overflow or lose digits."""
    with FakeTensorMode(), cuda_autocast(torch.float16):
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


def kept(operation, *shape, dtype=torch.float16, card=H100):
    """Return the bytes that an operation keeps for its backward pass, its output among them."""
    with FakeTensorMode(), as_cuda(card):
        x = torch.empty(shape, dtype=dtype, requires_grad=True)
        with Tracker(card, 0) as tracker:
            out = operation(x)
        assert out.requires_grad
    return tracker.live.total()


def attention(x, dropout=0.1):
    """Attend from each token to every other one."""
    return F.scaled_dot_product_attention(x, x, x, dropout_p=dropout)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_dropout_keeps_its_output_and_one_byte_per_element(dtype):
    """CUDA's mask is one of booleans, whatever was dropped from."""
    assert kept(lambda x: F.dropout(x, 0.1), 1024, 64, dtype=dtype) == 1024 * 64 * (dtype.itemsize + 1)


@pytest.mark.parametrize("operation", [lambda x: F.dropout(x, 0.1, training=False), lambda x: F.dropout(x, 0.0)])
def test_dropout_that_drops_nothing_keeps_nothing(operation):
    """Outside of training, or at a rate of nothing."""
    assert kept(operation, 1024, 64) == 0


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize(
    ("width", "dtype"), [(64, torch.float16), (256, torch.float16), (512, torch.float16), (64, torch.float32)]
)
def test_attention_that_a_fused_kernel_takes_keeps_no_weights(width, dtype, dropout):
    """Its output, and a number per token, whether it drops weights or not."""
    n = 2048
    found = kept(lambda x: attention(x, dropout), 1, 1, n, width, dtype=dtype)
    assert n * width * dtype.itemsize < found <= n * (width * dtype.itemsize + 4) + SEEDS < n * n


@pytest.mark.parametrize(("width", "dtype"), [(458, torch.float16), (458, torch.bfloat16), (50, torch.float32)])
def test_attention_in_heads_that_no_fused_kernel_takes_keeps_the_weights(width, dtype):
    """Rows of 916 or 200 bytes are no multiples of 16, and too wide or too precise for the flash kernel."""
    n = 2048
    assert kept(attention, 1, 1, n, width, dtype=dtype) > n * n * dtype.itemsize


@pytest.mark.parametrize(
    ("card", "width", "dtype", "expected"),
    [
        (H100, 64, torch.float16, "cudnn"),
        (RTX3080, 64, torch.float16, "flash"),
        (H100, 100, torch.bfloat16, "flash"),
        (H100, 512, torch.float16, "efficient"),
        (H100, 64, torch.float32, "efficient"),
        (RTX3080, 458, torch.float16, "math"),
    ],
)
def test_the_card_decides_which_attention_runs(card, width, dtype, expected):
    """On Hopper cuDNN's, elsewhere flash, the memory-efficient one in float32 and in wide heads."""
    heads = torch.empty(1, 1, 4, width, dtype=dtype)
    assert backend(heads, heads, 0, card) == expected


@pytest.mark.parametrize(
    ("queries", "keys", "dropout", "expected"),
    [(1, 4, 0.1, "flash"), (1, 4, 0, "cudnn"), (2, 4, 0.1, "cudnn"), (4, 1, 0, "flash"), (4, 2, 0, "cudnn")],
)
def test_cudnn_takes_no_single_key_and_no_single_query_with_dropout(queries, keys, dropout, expected):
    """Flash attention takes both."""
    query, key = (torch.empty(1, 1, n, 64, dtype=torch.float16) for n in (queries, keys))
    assert backend(query, key, dropout, H100) == expected


@pytest.mark.parametrize("width", [8, 100])
@pytest.mark.parametrize("card", [H100, RTX3080])
def test_fused_attention_has_the_shape_and_type_of_attention(card, width):
    """Heads that are padded on the way are cut again."""
    with FakeTensorMode(), as_cuda(card):
        x = torch.empty(2, 3, 7, width, dtype=torch.float16)
        out = F.scaled_dot_product_attention(x, x, x)
    assert (out.shape, out.dtype) == (x.shape, x.dtype)


def test_cross_entropy_keeps_its_logarithms_in_half_precision():
    """Only the chosen ones are cast to float32, where the CPU's autocast casts all logits."""
    logits = torch.randn(5, 7, dtype=torch.float16, requires_grad=True)
    with cuda_autocast(torch.float16):
        loss = F.cross_entropy(logits, torch.zeros(5, dtype=torch.int64))
    cast = loss.grad_fn.next_functions[0][0]
    assert (loss.dtype, type(cast).__name__) == (torch.float32, "ToCopyBackward0")


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_left_alone_is_cast_by_the_cpu_and_not_by_cuda(name):
    """Any other name has no place in the list."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    assert (has(f"aten::{name}", "AutocastCUDA"), has(f"aten::{name}", "AutocastCPU")) == (False, True)


def test_the_fused_kernels_end_with_their_context():
    """Dropout and attention afterwards draw and keep what they did before."""

    def drawn():
        with FakeTensorMode():
            x = torch.ones(4, 8, requires_grad=True)
            return [type(y.grad_fn).__name__ for y in (F.dropout(x, 0.5), attention(x[None, None]))]

    before = drawn()
    with as_cuda(H100):
        assert drawn() != before
    assert drawn() == before
    with pytest.raises(ZeroDivisionError), as_cuda(H100):
        _ = 1 / 0
    assert drawn() == before
