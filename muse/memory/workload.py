"""What is run while memory is watched: the same code for a prediction and for a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse.errors import UsageError

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
    """One forward pass, or one whole training step, of one model."""

    build: Callable[[], nn.Module]
    """Makes the model on torch's default device; must pickle, since measurements run in a fresh process."""
    vocabulary: int
    tokens: int
    batch: int = 1
    dtype: str = "float16"
    train: bool = False
    """Next-token cross-entropy, backward and AdamW, against a forward pass without gradients."""
    autocast: bool = True
    """Run under CUDA's float16 autocast, as the documents did; float32 and training ignore it."""

    def __post_init__(self) -> None:
        for name in ("tokens", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.train and self.tokens < 2:
            raise UsageError("training predicts the next token, so tokens must be at least 2")
        if self.dtype not in DTYPES:
            raise UsageError(f"unknown dtype {self.dtype!r}; allowed are {', '.join(DTYPES)}")

    @property
    def casts(self) -> bool:
        """Whether autocast is on: it means something for half-precision inference alone."""
        return self.autocast and not self.train and self.dtype != "float32"

    @property
    def logits_bytes(self) -> int:
        """What the model puts out."""
        return self.batch * self.tokens * self.vocabulary * DTYPES[self.dtype].itemsize

    def place(self, device: torch.device) -> nn.Module:
        """The model made on `device` in its dtype: no copy, no memory touched but its parameters'."""
        with making(device, self.dtype):
            return self.build().train(self.train)

    def ids(self, device: torch.device) -> Tensor:
        """Random token ids, drawn on the CPU so that every card sees the same."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(self.vocabulary, (self.batch, self.tokens), generator=generator).to(device)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer | None:
        """AdamW without fused or batched updates: its temporaries are one parameter's, on every device."""
        return torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False) if self.train else None

    def forward(self, model: nn.Module, ids: Tensor) -> Tensor:
        """Logits without gradients, or the loss of next-token prediction."""
        if not self.train:
            with torch.no_grad():
                logits: Tensor = model(ids)
                return logits
        logits = model(ids)[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    def step(self, model: nn.Module, ids: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
        """The whole of what is watched, once."""
        result = self.forward(model, ids)
        if optimizer:
            result.backward()
            optimizer.step()
            optimizer.zero_grad()
