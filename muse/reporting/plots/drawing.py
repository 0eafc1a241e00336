"""What every kind of picture hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muse.reporting.plots.rows import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure, and what its caption says of it."""

    figure: Figure
    message: str
    """The caption's template."""
    inputs: Mapping[str, str]
    """What fills the template besides the source."""
    sources: tuple[Source, ...]
