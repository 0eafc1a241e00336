"""A forward pass on fake tensors shows what it is made of: each part is seen when it is there."""

import pytest
import torch
import torch.utils.checkpoint
from torch import nn
from torch.utils.checkpoint import checkpoint

from muse.claims.claim import Status
from muse.models import phase8
from muse.nn.lowrank import Block
from muse.nn.shape import Shape

SHAPE = Shape(d_model=64, layers=2, heads=2, vocabulary=100)


@torch.library.custom_op("muse_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    """Stand in for a kernel of the project's own."""
    return 2 * x


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


def by_module(*args, **kwargs):
    """Call `checkpoint` as an attribute of its module, looked up when it is called."""
    return torch.utils.checkpoint.checkpoint(*args, **kwargs)


class HyperbolicSSM(nn.Identity):
    """Stands in for the component that the measured network did not have."""


class Doubled(Block):
    """A block whose output goes through an operator from outside PyTorch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return twice(super().forward(x))


class Checkpointed(Block):
    """A block behind a checkpoint, called through the module or by the name that this file imported."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        through = getattr(self, "through", checkpoint)
        return through(super().forward, x, use_reentrant=getattr(self, "reentrant", False))


@pytest.fixture
def small(monkeypatch):
    """Phase 8's presets, small; `change` breaks the network after it is built."""
    real = phase8.build
    for name in phase8.PRESETS:
        monkeypatch.setitem(phase8.PRESETS, name, phase8.Config(SHAPE))

    def use(change=lambda model: model):
        monkeypatch.setattr(phase8, "build", lambda config: change(real(config)))

    return use


@pytest.fixture
def trace(ask):
    """One quantity of the small preset at a few tokens."""
    return lambda quantity, **given: ask("trace", quantity, **{"model": "phase8_standard", "tokens": 8, **given}).value


def remade(kind, **attributes):
    """Return a change that turns every block into a `kind`."""

    def change(model):
        for block in model.blocks:
            block.__class__ = kind
            for name, value in attributes.items():
                setattr(block, name, value)
        return model

    return change


def float32(model, only=""):
    """Widen every parameter whose name contains `only`."""
    for name, parameter in list(model.named_parameters()):
        if only in name:
            home, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(home), leaf, nn.Parameter(parameter.float()))
    return model


def with_ssm(model):
    """Graft a state space model onto the first block."""
    model.blocks[0].ssm = HyperbolicSSM()
    return model


@pytest.mark.parametrize("quantity", ["checkpoints", "custom_operators"])
def test_the_plain_network_has_none(small, trace, quantity):
    """What follows is seen against zero."""
    small()
    assert trace(quantity) == 0


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("through", [checkpoint, by_module])
def test_a_checkpointed_block_is_seen(small, trace, through, reentrant):
    """However the network imported it, and in both of PyTorch's variants."""
    small(remade(Checkpointed, through=through, reentrant=reentrant))
    assert trace("checkpoints") == SHAPE.layers


def test_the_watch_on_checkpoints_ends_with_the_pass(small, trace):
    """PyTorch's own function is back in place afterwards."""
    module = torch.utils.checkpoint
    before = module.CheckpointFunction.apply, module._checkpoint_without_reentrant_generator
    small()
    trace("checkpoints")
    assert (module.CheckpointFunction.apply, module._checkpoint_without_reentrant_generator) == before


def test_an_operator_from_outside_pytorch_is_counted(small, trace):
    """One per block, whatever library it is registered in."""
    small(remade(Doubled))
    assert trace("custom_operators") == SHAPE.layers


def test_a_module_is_found_by_a_part_of_its_class_name(small, trace):
    """In any case, and as often as it is there."""
    small(with_ssm)
    assert [trace("modules_named", named=name) for name in ("hyperbolicssm", "SSM", "bkcore")] == [1, 1, 0]


def test_the_output_has_the_bytes_of_its_logits(small, trace):
    """Two bytes per token and word, and the tokens are the claim's."""
    small()
    assert [trace("output_bytes", tokens=n) for n in (8, 16)] == [8 * 100 * 2, 16 * 100 * 2]


def test_the_widest_weight_counts(small, trace):
    """One float32 tensor among half-precision ones is seen."""
    small()
    assert trace("weight_bytes") == 2
    small(lambda model: float32(model, only="table"))
    assert trace("weight_bytes") == 4


def test_the_measured_operators_are_part_of_the_evidence(small, ask):
    """A reader sees which libraries ran, and how often."""
    small(remade(Doubled))
    how = ask("trace", "custom_operators", model="phase8_standard", tokens=8).how
    assert how["operators"]["muse_tests"] == SHAPE.layers
    assert how["operators"]["aten"] > 10


@pytest.mark.parametrize(
    ("id_", "change"),
    [
        ("phase7_vs_phase8/checkpointing_enabled[phase8]", remade(Checkpointed)),
        ("phase7_vs_phase8/checkpointing_disabled[phase8]", remade(Checkpointed)),
        ("phase7_vs_phase8_final/triton_kernels", remade(Doubled)),
        ("phase7_vs_phase8_final/hyperbolic_ssm", with_ssm),
        ("phase7_vs_phase8_final/ar_ssm_fusion", with_ssm),
        ("phase7_vs_phase8/no_ssm", with_ssm),
        ("phase7_vs_phase8/mixed_precision[phase8]", float32),
    ],
)
def test_a_claim_of_the_real_ledger_turns_with_its_network(small, decided, id_, change):
    """The plain network gives the recorded verdict, the changed one the opposite."""
    opposite = {Status.CONFIRMED: Status.REFUTED, Status.REFUTED: Status.CONFIRMED}
    small()
    record = decided(id_)[id_]
    assert record.verdict.status is record.claim.recorded
    small(change)
    assert decided(id_)[id_].verdict.status is opposite[record.claim.recorded]
