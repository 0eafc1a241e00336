"""Commands about evidence: verify, report, promote."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from muse.claims.claim import Status
from muse.cli.printing import Json, Selection, print_json
from muse.config import Settings, load_settings
from muse.errors import Unmeasured
from muse.store.record import Record


def verify(
    selection: Selection = None,
    require_gpu: Annotated[bool, typer.Option(help="Fail when a GPU claim could not be measured.")] = False,
    as_json: Json = False,
) -> None:
    """Measure and judge the claims that this machine can decide, and render a report of the run."""
    from muse import verify as story
    from muse.progress import track
    from muse.store.files import read

    settings = load_settings()
    claims = story.select(story.open_ledger(settings), selection)
    run = story.Run.start(settings)
    records = [story.verify(claim, run) for claim in track(claims, "verifying", lambda claim: claim.id)]
    changed = [story.told(r) for r in records if story.changed(r)]
    view = _view(settings, [*_committed(settings), *read(run.records)])
    paths = _write(settings, view, run.folder)
    if as_json:
        print_json({"run": run.folder.name, "changed": changed, "records": [json.loads(r.to_json()) for r in records]})
    else:
        _print_counts(view)
        _print_decided(records)
        for path in paths:
            typer.echo(str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path))
        for line in changed:
            typer.echo(f"CHANGED {line}", err=True)
    if require_gpu and any(r.verdict.reason == "no_gpu" for r in records):
        raise Unmeasured("no_gpu", "GPU claims were not measured, and --require-gpu was given")
    raise typer.Exit(story.exit_code(records))


def report(
    run: Annotated[str | None, typer.Option(help="Render one run (or `latest`) beside its records instead.")] = None,
) -> None:
    """Rewrite the committed reports from committed records alone."""
    from muse.store.files import RECORDS, find_run, read

    settings = load_settings()
    records = _committed(settings)
    folder = settings.path("reports")
    if run:
        folder = find_run(settings.path("runs"), run)
        records += read(folder / RECORDS)
    for path in _write(settings, _view(settings, records), folder):
        typer.echo(str(path))


def promote(run: Annotated[str, typer.Argument(help="A run's name, or `latest`.")]) -> None:
    """Move a run's records into the committed results."""
    from muse.store.files import find_run
    from muse.store.files import promote as move

    settings = load_settings()
    typer.echo(str(move(find_run(settings.path("runs"), run), settings.path("results"))))


def _committed(settings: Settings) -> list[Record]:
    from muse.store.files import read_all

    return read_all(settings.path("results"))


def _view(settings: Settings, records: list[Record]) -> Any:
    from muse.reporting.view import build
    from muse.verify import open_ledger, stale

    ledger = open_ledger(settings)
    return build(records, lambda record: stale(record, ledger), {d.name: d.title for d in ledger.documents.values()})


def _write(settings: Settings, view: Any, folder: Path) -> list[Path]:
    from muse.reporting.render import write

    return write(view, settings.path("reports") / "templates", folder)


def _print_counts(view: Any) -> None:
    """Verdict counts per document, in columns."""
    columns = ("claims", "confirmed", "refuted", "inconclusive", "unmeasured", "stale")
    tallies = [*((d.name, d.tally) for d in view.documents), ("all", view.total)]
    width = max(len(name) for name, _ in tallies)
    typer.echo("  ".join([" " * width, *columns]))
    for name, tally in tallies:
        counts = (f"{getattr(tally, column):>{len(column)}}" for column in columns)
        typer.echo("  ".join([f"{name:<{width}}", *counts]))


def _print_decided(records: list[Record]) -> None:
    """How much of the table this run decided, and why not the rest."""
    missing = Counter(r.verdict.reason for r in records if r.verdict.status is Status.UNMEASURED)
    typer.echo(f"decided by this run: {len(records) - missing.total()} of {len(records)}")
    for reason, count in sorted(missing.items()):
        typer.echo(f"not decided, {reason}: {count}; the table counts committed evidence for them, where there is any")
