"""Commands about change: diff, summary."""

from __future__ import annotations

from typing import Annotated

import typer

from muse.cli.printing import Json, print_json
from muse.config import load_settings

Source = "A file of records, a folder of such files, or a git revision."


def diff(
    old: Annotated[str, typer.Argument(help=Source)],
    new: Annotated[str, typer.Argument(help=Source)],
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Say which verdicts and figures changed between two sets of records; exit with 1 if a verdict did."""
    from muse.reporting.history import Kind, compare, markdown, text
    from muse.store.sources import records_of

    settings = load_settings()
    changes = compare(records_of(old, settings), records_of(new, settings))
    if as_json:
        print_json([change.facts() for change in changes])
    else:
        typer.echo("\n".join(markdown(changes) if as_markdown else text(changes)))
    raise typer.Exit(int(any(change.kind is Kind.VERDICT for change in changes)))


def summary(
    base: Annotated[str | None, typer.Option(help=f"Say what changed since this: {Source}")] = None,
) -> None:
    """Print a page of Markdown for a job or a pull request: verdicts, changes, and what is not confirmed."""
    from muse.reporting.history import compare
    from muse.reporting.summary import summary as page
    from muse.store.files import read_all
    from muse.store.sources import records_of
    from muse.verify import open_ledger, stale

    settings = load_settings()
    ledger = open_ledger(settings)
    records = [record for place in ("results", "runs") for record in read_all(settings.path(place))]
    changes = [] if base is None else compare(records_of(base, settings), records)
    typer.echo(page(records, lambda record: stale(record, ledger), base, changes), nl=False)
