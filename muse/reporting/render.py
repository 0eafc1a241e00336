"""A view through a skin: three Jinja environments, each strict and each escaping by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from muse.errors import MuseError, UsageError
from muse.reporting import escape
from muse.reporting.view import View

SKINS: dict[str, dict[str, Any]] = {
    "md": {"finalize": escape.markdown},
    "tex": {
        "finalize": escape.tex,
        "block_start_string": r"\BLOCK{",
        "block_end_string": "}",
        "variable_start_string": r"\VAR{",
        "variable_end_string": "}",
        "comment_start_string": r"\NOTE{",
        "comment_end_string": "}",
    },
    "html": {"autoescape": True},
}
"""What sets each skin's environment apart; its main template is `report.<skin>` in the skin's folder."""


def render(view: View, skin: str, templates: Path) -> str:
    """The report in one skin.

    Raises UsageError for an unknown skin, and MuseError where a template names what the view lacks
    or a text cannot be written in the skin's language.
    """
    if skin not in SKINS:
        raise UsageError(f"unknown skin {skin!r}, expected one of {', '.join(SKINS)}")
    try:
        return _environment(skin, templates).get_template(f"report.{skin}").render(view=view)
    except TemplateError as error:
        raise MuseError(f"{templates / skin}: {str(error).splitlines()[0]}") from error


def write(view: View, templates: Path, folder: Path) -> list[Path]:
    """Write `report.md`, `report.tex` and `report.html` into `folder`; none of them if one cannot be rendered."""
    pages = {folder / f"report.{skin}": render(view, skin, templates) for skin in SKINS}
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in pages.items():
        _unfinished(path).write_bytes(text.encode())
    for path in pages:
        _unfinished(path).replace(path)
    return list(pages)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _environment(skin: str, templates: Path) -> Environment:
    environment = Environment(  # noqa: S701  each skin escapes by its own rule
        loader=FileSystemLoader(templates / skin),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **SKINS[skin],
    )
    environment.filters |= {
        "ready": escape.Safe,
        "code": escape.markdown_code,
        "breakable": escape.tex_breakable,
        "heading": escape.tex_heading,
    }
    return environment
