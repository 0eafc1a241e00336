"""What is run while memory is watched: the same code for a prediction and for a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse.errors import UsageError
from muse.memory.optimizers import OPTIMIZERS, Updates

LOSSES = ("cross_entropy", "sum")
"""Next-token cross-entropy, or, as two documents had it, the sum of all logits."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

Casting = Callable[[], AbstractContextManager[object]]
"""Makes the context of a forward pass."""


@contextmanager
def making(device: torch.device, dtype: str) -> Iterator[None]:
    """New tensors without a device or dtype of their own are made on `device` in `dtype`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[dtype])
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


@dataclass(frozen=True)
class Workload:
    """One forward pass, or one training step, of one model."""

    build: Callable[[], nn.Module]
    """Makes the model on torch's default device; must pickle, since measurements run in a fresh process."""
    vocabulary: int
    tokens: int
    batch: int = 1
    dtype: str = "float16"
    train: bool = False
    """A loss, its gradients and an update, against a forward pass without gradients."""
    optimizer: str = "adamw"
    """One of OPTIMIZERS; only training has one."""
    loss: str = "cross_entropy"
    """One of LOSSES."""
    autocast: bool = True
    """Run under CUDA's autocast to the dtype, as the documents did; float32 ignores it."""
    ids_below: int | None = None
    """Token ids are drawn below this number; by default from the whole vocabulary."""
    through_float32: bool = False
    """Load the model in float32 and convert it on the GPU, as ``Model().cuda().half()`` does."""

    def __post_init__(self) -> None:
        for name in ("tokens", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.train and self.loss == "cross_entropy" and self.tokens < 2:
            raise UsageError("training predicts the next token, so tokens must be at least 2")
        for name, allowed in (("dtype", tuple(DTYPES)), ("optimizer", OPTIMIZERS), ("loss", LOSSES)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}; allowed are {', '.join(allowed)}")

    @property
    def casts(self) -> bool:
        """Whether autocast is on."""
        return self.autocast and self.dtype != "float32"

    @property
    def converts(self) -> bool:
        """Whether loading makes a second copy of the parameters, one by one."""
        return self.through_float32 and self.dtype != "float32"

    @property
    def logits_bytes(self) -> int:
        """What the model puts out."""
        return self.batch * self.tokens * self.vocabulary * DTYPES[self.dtype].itemsize

    def place(self, device: torch.device) -> nn.Module:
        """The model on `device` in its dtype, made there; through float32, its parameters are converted one by one."""
        if self.through_float32:
            with making(device, "float32"):
                model = self.build()
            _convert(model, DTYPES[self.dtype])
            return model.train(self.train)
        with making(device, self.dtype):
            return self.build().train(self.train)

    def ids(self, device: torch.device) -> Tensor:
        """Random token ids, drawn on the CPU so that every card sees the same."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(self.ids_below or self.vocabulary, (self.batch, self.tokens), generator=generator).to(
            device
        )

    def updates(self, model: nn.Module) -> Updates:
        """The model's optimizer; without training, none."""
        return Updates(self.optimizer if self.train else "none", model.parameters())

    def forward(self, model: nn.Module, ids: Tensor) -> Tensor:
        """Logits without gradients."""
        with torch.no_grad():
            logits: Tensor = model(ids)
            return logits

    def step(self, model: nn.Module, ids: Tensor, updates: Updates, casting: Casting = nullcontext) -> None:
        """The whole of what is watched, once: `casting` is on for the forward pass and cross-entropy alone."""
        if not self.train:
            with casting():
                self.forward(model, ids)
            return
        with casting():
            out = model(ids)
            if self.loss == "cross_entropy":
                out = F.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        loss = out.sum() if self.loss == "sum" else out  # of logits that are held during the backward pass
        loss.backward()
        updates.step()
        model.zero_grad()


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """As ``module.to(dtype)`` does, a module's children before its own; that cannot swap what is fake."""
    for child in module.children():
        _convert(child, dtype)
    for name, parameter in module.named_parameters(recurse=False):
        setattr(module, name, nn.Parameter(parameter.detach().to(dtype)))
