"""What operators cost and keep is counted without a GPU, and theorems are checked by numbers that can fail."""

import pytest
import torch

from muse.claims.claim import Status
from muse.claims.verdict import judge
from muse.probes import operator_operations, resolvent_bounds
from muse.probes.operators import operator

LENGTHS = [16, 32, 64, 128, 256, 512]


def test_a_multiply_add_is_two_operations_and_a_view_none():
    """A product of 2x3 and 3x5, and a sum of its 10 elements with 1."""
    with operator_operations.Operations() as counting:
        out = torch.empty(2, 3, device="meta") @ torch.empty(3, 5, device="meta")
        out.T.add(1)
    assert counting.total - 2 * 3 - 3 * 5 == 2 * 2 * 3 * 5 + 10


@pytest.mark.parametrize(
    ("name", "order"), [("bk_core", 1), ("linear_scan", 1), ("linear_attention", 1), ("hyperbolic_attention", 2)]
)
def test_operations_grow_as_they_are_said_to(ask, name, order):
    """The definitions', on tensors without data."""
    lengths = LENGTHS if order == 1 and name != "linear_attention" else [n * 32 for n in LENGTHS]
    found = ask("operator_operations", "slope", "order", operator=name, lengths=lengths)
    assert found.value == pytest.approx(order, abs=0.05)


def test_a_quadratic_definition_turns_a_claim_of_linear_operations(ask, monkeypatch, real_ledger):
    """As hyperbolic attention in place of linear attention would."""
    [claim] = [claim for claim in real_ledger.claims if claim.id == "operators/linear_attention_operations"]
    exact = operator("hyperbolic_attention").definition
    monkeypatch.setattr(
        operator_operations,
        "operator",
        lambda _: type("Quadratic", (), {"definition": staticmethod(lambda q, k, v, **_: exact(q, k, v, *_one()))}),
    )
    found = ask("operator_operations", "slope", "order", **claim.given)
    assert judge(claim, found).status is Status.REFUTED


def _one():
    return torch.ones((), device="meta"), torch.ones((), device="meta")


def test_the_tensor_train_keeps_what_its_formula_says(ask):
    """R (v1 d1 + v2 d2) + r numbers, of V d."""
    found = ask("operator_parameters", "saved", "percent", operator="tensor_train", table=[10000, 512], rank=4)
    assert found.how == {"kept": 18_404, "dense": 5_120_000}


def test_the_semiseparable_matrix_keeps_what_its_formula_says(ask):
    """3 N - 2 + 2 N r numbers, of N^2."""
    found = ask("operator_parameters", "saved", "percent", operator="semiseparable", lengths=LENGTHS)
    assert found.how == {"kept": 3 * 512 - 2 + 2 * 512 * 9, "dense": 512**2}


@pytest.mark.parametrize(
    "given", [{"operator": "semiseparable"}, {"operator": "tensor_train", "table": (8, 8), "lengths": LENGTHS}]
)
def test_a_count_without_its_sizes_is_malformed(given):
    """Each operator takes its own."""
    from muse.probes.given import OfOperatorParameters

    with pytest.raises(ValueError, match="takes"):
        OfOperatorParameters(**given)


@pytest.mark.parametrize("quantity", ["pointwise", "hilbert_schmidt", "trace"])
def test_a_kernel_of_twice_the_size_turns_every_bound(ask, monkeypatch, real_ledger, quantity):
    """All three are reached to more than half, and so are no empty statements."""
    claims = {(c.quantity, c.given["kernel"]): c for c in real_ledger.claims if c.probe == "resolvent_bounds"}
    claim = claims[quantity, "distance"]
    assert judge(claim, ask("resolvent_bounds", quantity, "times")).status is Status.CONFIRMED
    right = resolvent_bounds.resolvent
    monkeypatch.setattr(resolvent_bounds, "resolvent", lambda u, z, kernel: 2 * right(u, z, kernel))
    assert judge(claim, ask("resolvent_bounds", quantity, "times")).status is Status.REFUTED


def test_the_signed_kernel_grows_on_one_side(ask):
    """Where u < v, by exp(Im z |u - v|) in place of its inverse."""
    assert ask("resolvent_bounds", "pointwise", "times", kernel="signed").value > 1e6


def test_the_trace_norm_at_2i_is_twice_the_documented_bound(ask):
    """There the operator is positive up to the factor i, and its trace norm is half the potential's norm in L1."""
    shares = ask("resolvent_bounds", "documented_trace", "times").how["shares"]
    assert shares[str(2j)] == pytest.approx(2)
    assert shares[str(1j)] == pytest.approx(1)
