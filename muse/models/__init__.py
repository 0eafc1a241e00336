"""Every preset by name, and the file that holds it. Imports no torch until one is built."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from muse.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_SIZES = ("maximum", "large", "deep", "standard")

PRESETS: dict[str, str] = {
    f"{phase}_{size}": f"muse.models.{phase}" for phase in ("phase7", "phase8") for size in _SIZES
}
"""Preset name to module."""


def build(name: str) -> nn.Module:
    """The preset `name`, on torch's current default device. Raises UsageError for an unknown name."""
    if name not in PRESETS:
        raise UsageError(f"unknown model {name!r}; allowed are {', '.join(PRESETS)}")
    model: nn.Module = import_module(PRESETS[name]).build(name)
    return model
