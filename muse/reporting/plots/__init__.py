"""Pictures from records alone, as SVG and PDF, with captions in every language. Loads without matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muse.reporting.plots import canvas, dots, floors, kinds, ladder, scaling
from muse.reporting.plots.drawing import Drawing
from muse.reporting.words import ENGLISH, FOLDER, Words, languages, load
from muse.store.record import Record

Draw = Callable[[Sequence[Record], Sequence[str]], Drawing | None]

PICTURES: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "phase7_vs_phase8-peak": (dots.draw, ("phase7_vs_phase8/peak_vram",)),
    "phase7_vs_phase8-activation": (dots.draw, ("phase7_vs_phase8/activation_vram",)),
    "phase7_vs_phase8-kinds": (kinds.draw, ("phase7_vs_phase8/peak_vram",)),
    "phase7_vs_phase8-operations": (
        scaling.draw,
        ("phase7_vs_phase8/phase7_quadratic", "phase7_vs_phase8/phase8_linear"),
    ),
    "phase7_vs_phase8-time": (scaling.draw, ("phase7_vs_phase8/phase7_time", "phase7_vs_phase8/phase8_time")),
    "phase7_vs_phase8-memory": (scaling.draw, ("phase7_vs_phase8/attention_memory",)),
    "phase7_vs_phase8-modes": (
        scaling.draw,
        ("phase7_vs_phase8/hybrid_complexity", "phase7_vs_phase8/exact_mode_quadratic"),
    ),
    "max_parameters-inference": (dots.draw, ("max_parameters/inference_peak",)),
    "max_parameters-training": (dots.draw, ("max_parameters/training_peak",)),
    "max_parameters-kinds": (kinds.draw, ("max_parameters/inference_peak", "max_parameters/training_peak")),
    "phase1_vram-ladder": (ladder.draw, ("phase1_vram/peak",)),
    "phase1_vram-kinds": (kinds.draw, ("phase1_vram/peak",)),
    "operators-floors": (floors.draw, ()),
}
"""Every picture: how it is drawn and from which claims. Its title is the message `pictures.titles.<name>`."""


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


def draw(records: Sequence[Record], messages: Path = FOLDER) -> tuple[Picture, ...]:
    """Every picture that `records` have the evidence for.

    Raises MuseError when a picture has no title or caption in one of the languages of `messages`.
    """
    words = [load(lang, messages) for lang in languages(messages)]
    found = (_picture(name, how, records, claims, words) for name, (how, claims) in PICTURES.items())
    return tuple(picture for picture in found if picture)


def _picture(
    name: str, how: Draw, records: Sequence[Record], claims: Sequence[str], words: Sequence[Words]
) -> Picture | None:
    with canvas.style(name):
        drawing = how(records, claims)
        if drawing is None:
            return None
        captions = {one.lang: caption(name, drawing, one) for one in words}
        title = next(one for one in words if one.lang == ENGLISH).text(f"pictures.titles.{name}")
        svg = canvas.svg(drawing.figure, name, title, captions[ENGLISH])
        return Picture(name, svg, canvas.pdf(drawing.figure), captions)


def caption(name: str, drawing: Drawing, words: Words) -> str:
    """The caption in one language."""
    joined = words.text("pictures.and").join(
        words.text(f"pictures.sources.{scope}", machine=place) for scope, place in drawing.sources
    )
    title = words.text(f"pictures.titles.{name}")
    return words.text(f"pictures.{drawing.message}", title=title, source=joined, **drawing.inputs)


def write(records: Sequence[Record], folder: Path, messages: Path = FOLDER) -> list[Path]:
    """Write `<name>.svg` and `<name>.pdf` of every picture into `folder`; none of them if one cannot be drawn."""
    files: dict[Path, bytes] = {}
    for picture in draw(records, messages):
        files[folder / f"{picture.name}.svg"] = picture.svg.encode()
        files[folder / f"{picture.name}.pdf"] = picture.pdf
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        _unfinished(path).write_bytes(data)
    for path in files:
        _unfinished(path).replace(path)
    return list(files)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
