"""A view as Markdown and HTML: each strict, each escaping by default, in the view's language."""

# ruff: noqa: RUF001  the dash is the mark of what has no value
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from muse.errors import MuseError
from muse.reporting import escape
from muse.reporting.details import details
from muse.reporting.memory import table
from muse.reporting.view import View
from muse.reporting.words import SHIPPED, Templates

SKINS: dict[str, dict[str, Any]] = {"md": {"finalize": escape.markdown}, "html": {"autoescape": True}}
"""What sets each skin's environment apart."""

MARKS = {"confirmed": "✓", "refuted": "✗", "inconclusive": "≈", "unmeasured": "–", "differ": "≠", "stale": "↻"}
"""Beside the word, for those who skim; colour never tells alone."""


def render(view: View, templates: Templates = (SHIPPED,)) -> dict[str, str]:
    """Every file of one language, by its name in the language's folder.

    Raises MuseError where a template names what the view or the language lacks.
    """
    skins = {skin: _environment(skin, templates, view) for skin in SKINS}
    memory = table(view.documents)
    pages = {name: _page(skins, name, view, memory=memory) for name in ("README.md", "report.html")}
    return pages | {f"{document.name}.md": _page(skins, "document.md", view, d=document) for document in view.documents}


def _page(skins: Mapping[str, Environment], name: str, view: View, **more: Any) -> str:
    try:
        return skins[name.rpartition(".")[2]].get_template(name).render(view=view, **more)
    except TemplateError as error:
        raise MuseError(f"template {name}: {str(error).splitlines()[0]}") from error


def _environment(skin: str, templates: Templates, view: View) -> Environment:
    environment = Environment(  # noqa: S701  each skin escapes by its own rule
        loader=FileSystemLoader([folder / skin for folder in templates]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **SKINS[skin],
    )
    environment.globals |= {"t": view.words.text, "marks": MARKS, "details": lambda: Markup(details(view))}  # noqa: S704  it escapes
    environment.filters |= {"ready": escape.Safe, "code": escape.markdown_code, "inline": _inline}
    return environment


def _inline(svg: str) -> Markup:
    """An SVG file of our own as an element: without what stands before it."""
    return Markup(svg[svg.index("<svg") :])  # noqa: S704  drawn here
