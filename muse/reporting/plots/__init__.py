"""Pictures from records alone, as SVG and PDF, with captions in every language. Loads without matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from muse.claims.claim import Drawn, Figure
from muse.reporting.plots import canvas, dots, floors, kinds, ladder, misses, scaling
from muse.reporting.plots.drawing import Drawing
from muse.reporting.words import ENGLISH, Words
from muse.store.record import Record

Draw = Callable[[Sequence[Record], Sequence[str]], Drawing | None]

HOW: dict[Drawn, Draw] = {
    "dots": dots.draw,
    "kinds": kinds.draw,
    "scaling": scaling.draw,
    "ladder": ladder.draw,
    "floors": floors.draw,
    "misses": misses.draw,
}


@dataclass(frozen=True)
class Picture:
    """One picture, finished."""

    name: str
    svg: str = field(repr=False)
    pdf: bytes = field(repr=False)
    captions: Mapping[str, str]

    @property
    def document(self) -> str:
        """The document whose claims it shows."""
        return self.name.split("-")[0]

    def caption(self, lang: str) -> str:
        """What is drawn, where it was measured and what to see."""
        return self.captions[lang]


def draw(records: Sequence[Record], figures: Iterable[Figure], words: Sequence[Words]) -> tuple[Picture, ...]:
    """Each of `figures` that `records` have the evidence for, with a caption in each of the languages."""
    found = (_picture(figure, records, words) for figure in figures)
    return tuple(picture for picture in found if picture)


def _picture(figure: Figure, records: Sequence[Record], words: Sequence[Words]) -> Picture | None:
    with canvas.style(figure.name):
        drawing = HOW[figure.draw](records, figure.claims)
        if drawing is None:
            return None
        captions = {one.lang: caption(figure, drawing, one) for one in words}
        svg = canvas.svg(drawing.figure, figure.name, figure.title, captions[ENGLISH])
        return Picture(figure.name, svg, canvas.pdf(drawing.figure), captions)


def caption(figure: Figure, drawing: Drawing, words: Words) -> str:
    """The caption in one language."""
    joined = words.text("pictures.and").join(
        words.text(f"pictures.sources.{scope}", machine=place) for scope, place in drawing.sources
    )
    title = words.say(figure.title)
    return words.text(f"pictures.{drawing.message}", title=title, source=joined, **drawing.inputs)
