"""Commands about change: diff, summary, history."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from muse.cli.printing import Json, print_json
from muse.config import load_settings
from muse.store.record import Record

Id = Annotated[str, typer.Argument(metavar="ID", help="A claim's address.")]
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


def history(id_: Id, as_json: Json = False) -> None:
    """Tell what was measured of a claim over time: every committed record of it, the oldest first."""
    from muse.cli.claims import only
    from muse.store.files import read_all
    from muse.verify import NOT_HERE, figure, open_ledger, stale

    settings = load_settings()
    ledger = open_ledger(settings)
    claim = only(ledger, id_)
    records = sorted(
        (r for r in read_all(settings.path("results")) if r.claim.id == claim.id and r.verdict.reason not in NOT_HERE),
        key=lambda record: record.time,
    )
    facts = [_taken(record) | {"stale": stale(record, ledger)} for record in records]
    if as_json:
        print_json(facts)
        return
    typer.echo(f"{claim.id}: {claim.says}")
    for record, one in zip(records, facts, strict=True):
        value = figure(record.measurement, claim.unit) if record.measurement else one["reason"]
        verdict = one["verdict"] + (", stale" if one["stale"] else "")
        typer.echo(
            f"{one['time'][:10]}  {one['commit'][:7]:<7}  {one['machine']:<22}  {verdict:<19}  {value}, {one['scope']}"
        )
    typer.echo(f"{len(facts)} records")


def _taken(record: Record) -> dict[str, Any]:
    """A record as its claim's history tells it, in the base of its unit."""
    taken = record.measurement
    return {
        "time": record.time,
        "commit": record.provenance.get("commit") or "",
        "machine": record.provenance.get("machine") or "",
        "verdict": str(record.verdict.status),
        "reason": record.verdict.reason,
        "scope": "unmeasured" if taken is None else str(taken.scope),
        "value": None if taken is None else float(taken.value),
        "low": None if taken is None else float(taken.low),
        "high": None if taken is None else float(taken.high),
        "record": record.id,
    }
