"""A document as one HTML page on which every number wears its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from muse.claims.claim import Scope, Status
from muse.coverage.match import Coverage, Place
from muse.errors import UsageError


@dataclass(frozen=True)
class Shown:
    """The verdict of a claim as coverage shows it."""

    status: Status
    recorded: bool
    """Whether it is only the recorded verdict, for want of committed evidence."""
    stale: bool
    beside: tuple[str, ...]
    """Claims beside this one that another procedure decided otherwise, with their verdicts."""
    scope: Scope | None = None
    """Of the evidence that decides; None where there is none."""
    prediction: Status | None = None
    """What the prediction says, where it differs from the measurement that decides."""

    @property
    def predicted(self) -> bool:
        """Whether the verdict rests on a prediction alone."""
        return self.scope is Scope.PREDICTED

    def __str__(self) -> str:
        held = {"recorded": self.recorded, "predicted": self.predicted, "stale": self.stale}
        marks = [mark for mark, holds in held.items() if holds]
        marks += [*([f"the prediction is {self.prediction}"] if self.prediction else []), *self.beside]
        return f"{self.status} ({'; '.join(marks)})" if marks else str(self.status)


KINDS = (*(status.value for status in Status), "declared", "uncovered")
"""What a number of a document can be, in the order of the legend and of the summary."""


def kind(place: Place, verdicts: Mapping[str, Shown]) -> str:
    """One of KINDS."""
    if place.claim:
        return verdicts[place.claim.id].status.value
    return "uncovered" if place.reason is None else "declared"


def counts(coverage: Coverage, verdicts: Mapping[str, Shown]) -> dict[str, int]:
    """How many numbers are of each kind, in the order of KINDS."""
    count = Counter(kind(place, verdicts) for place in coverage.places)
    return {name: count[name] for name in KINDS if count[name] or name == "uncovered"}


def write(path: Path, coverages: Sequence[Coverage], verdicts: Mapping[str, Shown], templates: Sequence[Path]) -> None:
    """Write the page of one or more documents; nothing half-written stays behind.

    Raises UsageError where there is no such folder.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")
    environment = Environment(
        loader=FileSystemLoader([folder / "html" for folder in templates]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    documents = [
        {
            "name": coverage.document.path.name,
            "counts": counts(coverage, verdicts).items(),
            "pieces": list(_pieces(coverage, verdicts)),
        }
        for coverage in coverages
    ]
    text = environment.get_template("coverage.html").render(documents=documents)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _pieces(coverage: Coverage, verdicts: Mapping[str, Shown]) -> Iterator[dict[str, str]]:
    """The document's text in order; a number has its kind and what it is about, the text between has neither."""
    text, end = coverage.document.text, 0
    for place in coverage.places:
        number = place.number
        yield {"text": text[end : number.start], "kind": "", "about": ""}
        shown = verdicts[place.claim.id] if place.claim else None
        marks = kind(place, verdicts) + (" differs" if shown and (shown.beside or shown.prediction) else "")
        about = f"{place.claim.id}: {shown}" if place.claim else place.reason
        yield {"text": number.printed, "kind": marks, "about": about or "no claim is bound to it"}
        end = number.end
    yield {"text": text[end:], "kind": "", "about": ""}
