"""Every file of the committed reports: pages, tables and pictures, in every language, from records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from muse.claims.claim import Document
from muse.reporting import paper, plots
from muse.reporting.render import render
from muse.reporting.view import Picture, build
from muse.reporting.words import ENGLISH, SHIPPED, Templates, load, spoken
from muse.store.record import Record

WRITTEN = (".md", ".html", ".tex", ".svg")
"""What a folder of a language or of pictures holds that is ours to replace; what TeX makes of it is not."""


def files(
    records: Sequence[Record],
    stale: Callable[[Record], bool],
    documents: Mapping[str, Document],
    languages: Sequence[str],
    templates: Templates = (SHIPPED,),
) -> dict[str, bytes]:
    """The content of every file by its path: ``figures/...``, and a folder for each of `languages`.

    The pages link to each other in all languages there are.
    Raises UsageError for an unknown language, and MuseError where a template names what the view or a language lacks.
    """
    words = {lang: load(lang, templates) for lang in (ENGLISH, *languages)}
    figures = [figure for document in documents.values() for figure in document.figures]
    pictures = plots.draw(records, figures, list(words.values()))
    found = {f"figures/{picture.name}.svg": picture.svg.encode() for picture in pictures}
    found |= {f"figures/{picture.name}.pdf": picture.pdf for picture in pictures}
    for lang in languages:
        shown = [Picture(picture.name, picture.caption(lang), picture.svg) for picture in pictures]
        view = build(
            records,
            stale,
            titles(documents, lang),
            words[lang],
            pictures=shown,
            languages=spoken(templates),
            findings={name: document.findings for name, document in documents.items()},
        )
        pages = render(view, templates) | {f"paper/{name}": text for name, text in paper.pages(view, templates).items()}
        found |= {f"{lang}/{name}": text.encode() for name, text in pages.items()}
    return found


def titles(documents: Mapping[str, Document], lang: str) -> dict[str, str]:
    """The documents' titles in a language: their own words where it is not English."""
    return {name: one.title if lang == ENGLISH else one.original or one.title for name, one in documents.items()}


def write(found: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write every file under `folder`, each whole or not at all; returns their paths."""
    paths = {folder / name: content for name, content in found.items()}
    for path, content in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _unfinished(path).write_bytes(content)
    for path in paths:
        _unfinished(path).replace(path)
    return list(paths)


def left_over(found: Iterable[str], folder: Path) -> list[Path]:
    """Files of earlier reports that the present ones no longer have, in the folders that they use."""
    present = {folder / name for name in found}
    tops = {folder / name.split("/")[0] for name in found}
    return sorted(
        path
        for top in tops
        for path in top.rglob("*")
        if path.suffix in WRITTEN and path.is_file() and path not in present
    )


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
