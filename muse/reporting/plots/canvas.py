"""Figures that look the same everywhere: one style, and files whose bytes depend on nothing but what is drawn.

Ink is black in the PDF and the colour of the surrounding text in the SVG. Colours are Okabe and Ito's, and every
colour comes with a marker or a hatch of its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

INK, FAINT = "#000000", "#808182"
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"

WIDTH = 6.4
"""Inches: the text width of an A4 page."""
ROW, HEAD, FOOT = 0.24, 0.36, 0.5
"""Inches of one row, of the space above the rows, and of the axis below."""
LETTER = 0.082
"""Inches that a letter of a label needs."""
COLUMN = 56
"""Points from one column of numbers to the next."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
CSS = (
    ".muse-picture{color:#000;fill:currentColor;stroke-linejoin:round;max-width:100%;height:auto}"
    "@media screen and (prefers-color-scheme:dark){.muse-picture{color:#e4e7ea}}"
)


@dataclass(frozen=True)
class Mark:
    """How one kind of value is drawn: told apart by its shape, and by its colour."""

    shape: str
    size: float
    edge: str
    face: str


DOCUMENTED = Mark("o", 9, INK, "none")
REPRODUCED = Mark("x", 7, VERMILLION, VERMILLION)
SOUND = Mark("o", 3.4, BLUE, BLUE)
BAR = Mark("s", 6, INK, SKY)


def style(name: str) -> AbstractContextManager[None]:
    """Draw and write within this: matplotlib's defaults and our style, whatever the machine's settings are."""
    import matplotlib.style

    return matplotlib.style.context(["default", {**STYLE, "svg.hashsalt": name}])


def rowed(labels: Sequence[str], columns: int, letter: float = LETTER) -> tuple[Figure, Axes]:
    """A figure with one row per label, the first on top, and room for columns of numbers at the right."""
    from matplotlib.figure import Figure

    height = HEAD + ROW * len(labels) + FOOT
    figure = Figure(figsize=(WIDTH, height))
    left = 0.15 + letter * max(map(len, labels))
    right = WIDTH - 0.1 - columns * COLUMN / 72
    axes = figure.add_axes((left / WIDTH, FOOT / height, (right - left) / WIDTH, ROW * len(labels) / height))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=FAINT, linewidth=0.4, alpha=0.5)
    return figure, axes


def marked(axes: Axes, x: Sequence[float], y: Sequence[float], mark: Mark, where: Transform | None = None) -> None:
    """Marks at (x, y), in the axes' own data unless `where` says otherwise."""
    axes.plot(
        x, y, mark.shape, markersize=mark.size, markeredgecolor=mark.edge, markerfacecolor=mark.face,
        markeredgewidth=1.3, clip_on=False, zorder=3,
        transform=where or axes.transData,
    )  # fmt: skip


def column(axes: Axes, place: int, mark: Mark | str, texts: Sequence[str]) -> None:
    """The column number `place` of texts right of the rows, headed by a mark or by a word."""
    where = _beside(axes, (place + 0.95) * COLUMN)
    for y, text in enumerate(texts):
        axes.text(1, y, text, transform=where, ha="right", va="center", fontsize=8)
    if isinstance(mark, str):
        axes.text(1, -0.95, mark, transform=where, ha="right", va="center", fontsize=8)
    else:
        marked(axes, [1], [-0.95], mark, _beside(axes, (place + 0.95) * COLUMN - 10))


def swatches(figure: Figure, known: Mapping[str, tuple[str, str]]) -> None:
    """A line above the rows that names each colour and hatch."""
    from matplotlib.patches import Rectangle

    inches, top = figure.dpi_scale_trans, figure.get_figheight() - 0.2
    for place, (name, (colour, hatch)) in enumerate(known.items()):
        left = 0.15 + 1.15 * place
        figure.add_artist(
            Rectangle((left, top), 0.16, 0.11, transform=inches, facecolor=colour, hatch=hatch, edgecolor=INK, lw=0.6)
        )
        figure.text(left + 0.22, top + 0.055, name, transform=inches, va="center", fontsize=8)


def _beside(axes: Axes, points: float) -> Transform:
    """Along x so many points right of the axes' right edge at 1, along y the rows."""
    from matplotlib.transforms import ScaledTranslation

    return axes.get_yaxis_transform() + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """The places nearest to `wanted`, in the same order, that lie at least `gap` apart."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []
    for item in order:
        groups.append([item])
        while (
            len(groups) > 1
            and _middle(groups[-1], wanted) - _middle(groups[-2], wanted)
            < gap * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    places = [0.0] * len(wanted)
    for group in groups:
        for rank, item in enumerate(group):
            places[item] = _middle(group, wanted) + gap * (rank - (len(group) - 1) / 2)
    return places


def _middle(group: Sequence[int], wanted: Sequence[float]) -> float:
    return sum(wanted[item] for item in group) / len(group)


def pdf(figure: Figure) -> bytes:
    """The figure as a PDF that carries no time and no program."""
    file = io.BytesIO()
    figure.savefig(
        file, format="pdf", transparent=True, metadata=dict.fromkeys(("CreationDate", "Creator", "Producer"))
    )
    return file.getvalue()


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG that may stand alone or within a page: transparent, in the page's ink, with own ids."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    text = re.sub(r"<\?xml.*?(?=<svg)|<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", file.getvalue(), flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", f"<style>{CSS}</style>", text, count=1, flags=re.DOTALL)
    text = re.sub(r' id="[\w.]+_\d+"', "", text)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text).replace(INK, "currentColor")
    label = f"{name}-title"
    told = f"<title id={quoteattr(label)}>{escape(title)}</title>\n <desc>{escape(description)}</desc>"
    return re.sub(
        r"<svg (.*?)>", rf'<svg class="muse-picture" role="img" aria-labelledby="{label}" \g<1>>\n {told}', text,
        count=1, flags=re.DOTALL,
    )  # fmt: skip
