"""The `muse` program: parse, one call, print. Every command that prints facts has `--json`."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from muse.cli import claims, coverage, evidence, history, memory
from muse.errors import LedgerError, MuseError

app = typer.Typer(
    name="muse",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Verify what documents claim about memory-efficient language models.",
    epilog="Exit codes: 0 as recorded, 1 a verdict changed, 2 usage, 3 could not measure, 4 ledger or store fault.",
)
app.command("list")(claims.list_)
app.command()(claims.show)
app.command()(evidence.verify)
app.command()(memory.predict)
app.command()(memory.measure)
app.command()(memory.fit)
app.command()(evidence.report)
app.command()(evidence.promote)
app.command()(history.diff)
app.command()(history.summary)
app.command()(coverage.coverage)
app.command()(claims.doctor)
app.command()(claims.schema)


def main() -> NoReturn:
    """Run the program; an error of ours is one line on standard error and its exit code."""
    try:
        app(standalone_mode=True)
    except LedgerError as error:
        for fault in error.faults:
            typer.echo(fault, err=True)
        sys.exit(error.exit_code)
    except MuseError as error:
        typer.echo(f"muse: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(0)
