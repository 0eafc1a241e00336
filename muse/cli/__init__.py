"""The `muse` program: parse, one call, print. Every command that prints facts has `--json`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from muse.cli import claims, coverage, evidence, history, memory, project
from muse.errors import LedgerError, MuseError

app = typer.Typer(
    name="muse",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Verify what documents claim about memory-efficient language models.",
    epilog="Exit codes: 0 as recorded, 1 a verdict changed, 2 usage, 3 could not measure, 4 ledger or store fault,\
 5 does not fit the budget.",
)
CLOSED = 141
"""The exit code where what reads our output has enough of it: 128 and the number of SIGPIPE, as shells have it."""
app.command()(project.init)
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
app.command("history")(history.history)
app.command()(coverage.coverage)
app.command()(claims.doctor)
app.command()(claims.schema)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"muse {version('muse-verify')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take what belongs to no command."""


def main() -> NoReturn:
    """Run the program; an error of ours is one line on standard error and its exit code."""
    output = sys.stdout
    code = _run()
    try:
        output.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())  # or Python complains on its way out
        code = CLOSED
    sys.exit(code if sys.stdout is output else CLOSED)  # typer puts another in the place of a closed one


def _run() -> int | str | None:
    try:
        app(standalone_mode=True)
    except LedgerError as error:
        for fault in error.faults:
            typer.echo(fault, err=True)
        return error.exit_code
    except MuseError as error:
        typer.echo(f"muse: {error}", err=True)
        return error.exit_code
    except SystemExit as end:
        return end.code
    return 0
