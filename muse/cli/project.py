"""The command that makes a project: init."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from muse.errors import UsageError

STARTER = Path(__file__).parent / "starter"
"""What a new project holds; names that begin with a dot stand there without it."""
DOTTED = ("gitignore", "github")

Folder = Annotated[Path, typer.Argument(help="The project's folder, which is made where there is none.")]


def init(folder: Folder = Path()) -> None:
    """Write what a project with claims needs and lacks: configuration, an example, the test, a workflow.

    No file that is there is changed, but for lines that `pyproject.toml` and `.gitignore` lack.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a folder")
    files = {_home(file.relative_to(STARTER)): file.read_text() for file in sorted(STARTER.rglob("*")) if _ours(file)}
    settings, ignored = files.pop(Path("pyproject.toml")), files.pop(Path(".gitignore"))
    grown = {
        folder / "pyproject.toml": _with_settings(folder / "pyproject.toml", settings),
        folder / ".gitignore": _with_lines(folder / ".gitignore", ignored),
    }
    missing = {folder / name: text for name, text in files.items() if not (folder / name).exists()}
    if any((folder / "tests/claims").glob("*/document.yaml")):
        missing = {path: text for path, text in missing.items() if path.name in ("test_claims.py", "claims.yml")}
    for path, text in (grown | missing).items():
        if text is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            typer.echo(str(path))
    typer.echo("next: pytest tests/claims, then muse report")


def _ours(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def _home(name: Path) -> Path:
    """Where a file of the starter belongs."""
    first, *rest = name.parts
    return Path(f".{first}" if first in DOTTED else first, *rest)


def _with_settings(file: Path, settings: str) -> str | None:
    """The project's configuration with ours; None where it has it. Raises UsageError for a file that is no TOML."""
    text = file.read_text() if file.exists() else ""
    try:
        known = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: {error}") from None
    if "muse" in known.get("tool", {}):
        return None
    return f"{text.rstrip()}\n\n{settings}".lstrip()


def _with_lines(file: Path, lines: str) -> str | None:
    """The file with those of `lines` that it lacks; None where it lacks none."""
    text = file.read_text() if file.exists() else ""
    lacking = [line for line in lines.splitlines() if line not in text.splitlines()]
    return "\n".join([*text.rstrip().splitlines(), *lacking, ""]) if lacking else None
