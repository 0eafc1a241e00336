"""Every preset by name, and the file that holds it. Imports no torch until one is asked for."""

from __future__ import annotations

from dataclasses import replace
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
    found = import_module(PRESETS[name]).PRESETS[name]
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
    model: nn.Module = import_module(PRESETS[name]).build(chosen)
    return model
