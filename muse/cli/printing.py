"""What the commands share: options, and facts as JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Selection = Annotated[str | None, typer.Argument(help="Part of a claim's address; all without it.")]


def print_json(facts: Any) -> None:
    """Print facts for programs."""
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
