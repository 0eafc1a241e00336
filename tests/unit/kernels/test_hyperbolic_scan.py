"""The Moebius recurrence: the definition is right, and the kernel agrees with it."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from kernels import hyperbolic_scan
from kernels.case import excesses
from kernels.hyperbolic_scan import autograd, reference
from kernels.hyperbolic_scan.cases import CASES

K = CASES[0].k
ONE_NUMBER = 8
"""How much more a single sum may err, as in claims: the definition's own error there can be small by chance."""


def inputs(n, dtype=torch.float32, width=5, *, shared=False, batch=(2,)):
    """Factors, points and a first state in the ball of curvature -0.7."""
    random = torch.Generator().manual_seed(n)
    a = torch.rand(*batch, n, 1 if shared else width, generator=random, dtype=torch.float64) * 1.5 - 0.25
    b, initial = (torch.randn(*batch, *m, width, generator=random, dtype=torch.float64) for m in ((n,), ()))
    b, initial = (0.9 * x / (1 + x.norm(dim=-1, keepdim=True)) for x in (b, initial))
    precise = torch.promote_types(dtype, torch.float32)
    given = {"a": a.to(dtype), "b": b.to(dtype), "curvature": torch.tensor(0.7, dtype=precise)}
    return given | {"initial": initial.to(dtype)}


def agree(given):
    """Assert the tolerance for the states and every gradient."""
    found = excesses(hyperbolic_scan, reference.hyperbolic_scan, given)
    assert found.pop("dcurvature") <= ONE_NUMBER * K
    assert all(ratio <= K for ratio in found.values()), found


def test_the_definition_is_the_recurrence_of_complex_numbers_in_the_disk():
    """There x (+) y is (x + y) / (1 + conj(x) y), and r (x) h is tanh(r artanh |h|) h / |h|."""
    given = inputs(9, torch.float64, width=2, shared=True, batch=())
    got = hyperbolic_scan(**given | {"curvature": 1.0})
    h = torch.view_as_complex(given["initial"])
    for t, (r, y) in enumerate(zip(given["a"][:, 0], torch.view_as_complex(given["b"]), strict=True)):
        x = torch.tanh(r * torch.atanh(h.abs())) * h / h.abs()
        h = (x + y) / (1 + x.conj() * y)
        torch.testing.assert_close(torch.view_as_complex(got[t]), h)


def test_one_factor_per_step_is_the_same_factor_for_each_channel():
    """Scalar multiplication is the special case."""
    given = inputs(7, torch.float64, shared=True)
    wide = given | {"a": given["a"].expand(-1, -1, 5)}
    torch.testing.assert_close(hyperbolic_scan(**given), hyperbolic_scan(**wide))


def test_a_vanishing_curvature_leaves_the_linear_recurrence():
    """The ball is flat then."""
    given = inputs(7, torch.float64) | {"curvature": 1e-9}
    h, states = given["initial"], []
    for a, b in zip(given["a"].unbind(1), given["b"].unbind(1), strict=True):
        h = a * h + b
        states.append(h)
    torch.testing.assert_close(hyperbolic_scan(**given), torch.stack(states, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_the_definition_has_the_gradients_of_finite_differences(shared):
    """For factors, points, curvature and first state, in double precision."""
    leaves = [x.requires_grad_() for x in inputs(4, torch.float64, 3, shared=shared).values()]
    assert torch.autograd.gradcheck(hyperbolic_scan, leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shared", [False, True])
def test_the_kernel_agrees_with_the_definition(dtype, shared):
    """States and every gradient."""
    agree(inputs(21, dtype, shared=shared))


@pytest.mark.parametrize(("n", "width"), [(1, 1), (1, 5), (9, 1), (9, 16), (9, 17)])
def test_the_kernel_agrees_at_edge_sizes(n, width):
    """One step, one channel, and just more channels than a block."""
    agree(inputs(n, width=width))


@pytest.mark.parametrize("n", [3, 4, 8, 9])
@pytest.mark.parametrize("shared", [False, True])
def test_the_kernel_agrees_at_the_ends_of_a_group_of_steps(n, shared):
    """Steps are loaded four and eight at a time; fewer, as many, and one more."""
    agree(inputs(n, width=3, shared=shared))


@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("shared", [False, True])
def test_sequences_that_share_a_warp_do_not_touch(width, shared):
    """The last warp is not full."""
    agree(inputs(5, width=width, shared=shared, batch=(3,)))


@pytest.mark.parametrize("width", [300, 1000])
def test_wide_sequences_have_a_program_of_their_own(width):
    """Of one warp or of several."""
    agree(inputs(3, width=width, batch=(2,)))


@pytest.mark.parametrize("norm", [1e-3, 0.2, 0.5, 0.95])
def test_the_kernel_agrees_at_every_distance_from_the_origin(norm):
    """Polynomials, quotients, and where one follows the other."""
    given = inputs(21)
    agree(given | {name: norm * given[name] / given[name].norm(dim=-1, keepdim=True) for name in ("b", "initial")})


def test_the_kernel_agrees_from_the_origin_on():
    """There the maps are the identity."""
    given = inputs(9)
    agree(given | {"initial": torch.zeros(2, 5)})
    torch.testing.assert_close(hyperbolic_scan(given["a"], given["b"])[:, 0], given["b"][:, 0])


def test_the_kernel_takes_strided_inputs_and_any_leading_dimensions():
    """A transposed view is no special case."""
    given = inputs(6, batch=(2, 3))
    agree(given | {name: given[name].transpose(0, 1).contiguous().transpose(0, 1) for name in "ab"})
    agree(given | {name: given[name].mT.contiguous().mT for name in "ab"})


def test_states_near_the_boundary_keep_their_distance_from_it():
    """Ten steps outwards leave 1 - |h|^2 = 1e-8, below a float32's resolution of h; the way back is right."""
    out, back = torch.full((10, 1), 0.75), torch.full((10, 1), -0.75)
    b = torch.cat([out, back])[None]
    got = hyperbolic_scan(torch.ones(1, 20, 1), b)
    want = hyperbolic_scan(torch.ones(1, 20, 1, dtype=torch.float64), b.double())
    torch.testing.assert_close(got[:, 9].double(), want[:, 9], rtol=1e-6, atol=0)
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy interprets, and says so
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("norm", [1.0, 1.5])
def test_a_point_outside_the_open_ball_makes_its_state_and_all_later_ones_nan(dtype, norm):
    """And no other sequence's."""
    a, b, _, _ = inputs(6, dtype).values()
    b[0, 3] = torch.tensor([norm, 0, 0, 0, 0])
    h = hyperbolic_scan(a, b)
    assert h[0, 3:].isnan().all()
    assert not h[0, :3].isnan().any()
    assert not h[1].isnan().any()


def test_the_operator_meets_every_contract_of_a_custom_operator():
    """Schema and fake rule."""
    leaves = (x.requires_grad_() for x in inputs(3).values())
    torch.library.opcheck(autograd.hyperbolic_scan, tuple(leaves), test_utils=("test_schema", "test_faketensor"))


def test_fake_tensors_show_the_shape_without_computing():
    """Half precision stays half precision."""
    with FakeTensorMode():
        a, b = (torch.empty(4, 9, w, dtype=torch.bfloat16, requires_grad=True) for w in (1, 5))
        h = hyperbolic_scan(a, b)
        (da,) = torch.autograd.grad(h.sum(), [a])
    assert (h.shape, h.dtype, da.shape) == (b.shape, b.dtype, a.shape)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"b": torch.ones(2, 0, 5), "a": torch.ones(2, 0, 5)}, r"b \(2, 0, 5\) has no element to scan"),
        ({"a": torch.ones(2, 6, 4)}, r"a is \(2, 6, 4\), but b asks for \(2, 6, 1\) or \(2, 6, 5\)"),
        ({"a": torch.ones(2, 6, 5).half()}, "must share one dtype"),
    ],
)
def test_a_wrong_input_is_told_in_one_line(changes, said):
    """What was given, and what is asked for."""
    with pytest.raises((ValueError, TypeError), match=f"{said}|Type-check error"):  # the latter if shapes are checked
        hyperbolic_scan(**{**inputs(6), **changes})
