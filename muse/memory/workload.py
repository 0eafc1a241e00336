"""What is run while memory is watched: the same code for a prediction and for a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse.errors import UsageError
from muse.memory.optimizers import OPTIMIZERS, Updates

LOSSES = ("cross_entropy", "sum")
"""Next-token cross-entropy, or, as two documents had it, the sum of all logits."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


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
            return model.to(DTYPES[self.dtype]).train(self.train)
        with making(device, self.dtype):
            return self.build().train(self.train)

    def ids(self, device: torch.device) -> Tensor:
        """Random token ids, drawn on the CPU so that every card sees the same."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(self.vocabulary, (self.batch, self.tokens), generator=generator).to(device)

    def updates(self, model: nn.Module) -> Updates:
        """The model's optimizer; without training, none."""
        return Updates(self.optimizer if self.train else "none", model.parameters())

    def forward(self, model: nn.Module, ids: Tensor) -> Tensor:
        """Logits without gradients."""
        with torch.no_grad():
            logits: Tensor = model(ids)
            return logits

    def step(self, model: nn.Module, ids: Tensor, updates: Updates) -> None:
        """The whole of what is watched, once."""
        if not self.train:
            self.forward(model, ids)
            return
        logits = model(ids)
        if self.loss == "sum":  # as the documents had it, with the logits alive during the backward pass
            logits.sum().backward()
        else:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            del logits
            loss.backward()
        updates.step()
        model.zero_grad()
