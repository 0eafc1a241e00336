"""Every network by name, ours and those that a project registers, and the module that holds it.

Imports no torch, and nothing that a project registers, until a network is asked for.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from importlib import import_module
from math import lcm
from typing import TYPE_CHECKING, Any

from muse.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_SIZES = ("maximum", "large", "deep", "standard")
_VARIANTS = ("standard", "extreme", "ultra", "ultra_large", "ultra_rank4", "ultra_tied", "ultra_rmsnorm")
_NAMES: dict[str, tuple[str, ...]] = {
    "baseline": ("baseline", "baseline_3664", "baseline_small", "baseline_large"),
    "max_parameters": ("phase1", "phase2"),
    "phase1": tuple(f"phase1_{variant}" for variant in _VARIANTS),
    "phase7": tuple(f"phase7_{size}" for size in _SIZES),
    "phase8": tuple(f"phase8_{size}" for size in _SIZES),
    "phase8_push": ("phase8_push", "phase8_push_dense"),
}

PRESETS: dict[str, str] = {name: f"muse.models.{module}" for module, names in _NAMES.items() for name in names}
"""Preset name to module."""

REGISTERED = "MUSE_NETWORKS"
"""The variable by which a process tells those that it starts what is registered."""


@dataclass(frozen=True)
class Own:
    """A project's own network: it has one size."""

    source: str
    """``module:name`` of what builds it, a class or a function without arguments."""
    vocabulary: int

    @property
    def shape(self) -> Own:
        """What of its size a measurement asks."""
        return self


OWN: dict[str, Own] = {}


class Subjects:
    """What a project registers with: by its module that `[tool.muse] subjects` names, or by the pytest hook."""

    def network(self, name: str, source: str, *, vocabulary: int) -> None:
        """Let claims say ``model: name``.

        Parameters
        ----------
        name
            As claims say it.
        source
            ``module:attribute`` of a class or a function that takes nothing and returns an `nn.Module`, from token
            ids (batch, tokens) to logits (batch, tokens, vocabulary). It is imported when a claim needs it.
        vocabulary
            The number of token ids.

        Raises
        ------
        UsageError
            A name that is taken, a source of another form, or a vocabulary below 1.
        """
        module, colon, attribute = source.partition(":")
        if not (module and colon and attribute.isidentifier()):
            raise UsageError(f"network {name!r}: the source must read like package.module:name, not {source!r}")
        if vocabulary < 1:
            raise UsageError(f"network {name!r}: the vocabulary must be at least 1, not {vocabulary}")
        one = Own(source, vocabulary)
        if name in PRESETS and OWN.get(name) != one:
            raise UsageError(f"network {name!r} is registered already, for {PRESETS[name]}")
        OWN[name], PRESETS[name] = one, module
        os.environ[REGISTERED] = json.dumps({key: [own.source, own.vocabulary] for key, own in OWN.items()})


for _name, (_source, _vocabulary) in json.loads(os.environ.get(REGISTERED, "{}")).items():
    Subjects().network(_name, _source, vocabulary=_vocabulary)

WIDTH_STEP = 8
"""Ranks are quarters and eighths of a width, so every width is a multiple of 8, and of its heads."""


def check(name: str) -> None:
    """Raise UsageError when there is no preset `name`."""
    if name not in PRESETS:
        raise UsageError(f"unknown model {name!r}; allowed are {', '.join(PRESETS)}")


def width_step(name: str) -> int:
    """The step between widths of the preset's kind whose heads are as wide as fused attention likes them.

    Its heads are then multiples of 8; others keep their N^2 weights, and a narrower network may need more memory.
    """
    heads: int = config(name).shape.heads
    return WIDTH_STEP * heads


def config(name: str, **size: int) -> Any:
    """The frozen configuration of the preset `name`, its shape changed by `size`, such as ``layers=2``.

    Raises UsageError for an unknown name, a size below 1, or a width that its heads and ranks do not divide.
    """
    check(name)
    if name in OWN:
        if size:
            raise UsageError(f"{name}: a network of your own has one size; it cannot have another {', '.join(size)}")
        return OWN[name]
    found = _module(name).PRESETS[name]
    small = [f"{key} {value}" for key, value in size.items() if value < 1]
    if small:
        raise UsageError(f"{name}: a size must be at least 1, not {', '.join(small)}")
    shape = replace(found.shape, **size)
    step = lcm(WIDTH_STEP, shape.heads)
    if shape.d_model % step:
        raise UsageError(f"{name}: d_model must be a multiple of {step}, not {shape.d_model}")
    return replace(found, shape=shape)


def build(name: str, **size: int) -> nn.Module:
    """The preset `name`, on torch's current default device and in its default dtype; `config` says what is allowed."""
    chosen = config(name, **size)
    module = _module(name)
    model: nn.Module = _made(name, module) if name in OWN else module.build(chosen)
    return model


def _module(name: str) -> Any:
    """The module that holds the network. Some of ours need `kernels`, which the package alone has not."""
    try:
        return import_module(PRESETS[name])
    except ModuleNotFoundError as error:
        raise UsageError(f"{name}: {PRESETS[name]} needs the module {error.name!r}, which is not here") from None


def _made(name: str, module: Any) -> Any:
    attribute = OWN[name].source.partition(":")[2]
    if not hasattr(module, attribute):
        raise UsageError(f"network {name!r}: module {PRESETS[name]} has no {attribute!r}")
    return getattr(module, attribute)()
