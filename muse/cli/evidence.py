"""Commands about evidence: verify, report, promote."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muse.claims.claim import Claim, Ledger, Status
from muse.cli.printing import Json, Selection, print_json
from muse.config import Settings, load_settings
from muse.errors import Unmeasured, UsageError
from muse.store.record import Record

if TYPE_CHECKING:
    from muse.verify import Run


def verify(
    selection: Selection = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure also what this clone has measured, where it still holds.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay also the committed evidence of a machine like this one.")
    ] = False,
    require_gpu: Annotated[bool, typer.Option(help="Fail when a GPU claim could not be measured.")] = False,
    as_json: Json = False,
) -> None:
    """Measure and decide the claims that this machine can, but for those that this clone has measured, and report."""
    from muse import verify as story
    from muse.progress import track

    if fresh and replay:
        raise UsageError("--fresh measures all, --replay as little as it can; give one of them")
    settings = load_settings()
    claims = story.select(story.open_ledger(settings), selection)
    known = {} if fresh else story.held(settings, committed=replay)
    run = story.Run.start(settings)
    records = list(_decided(track(claims, "verifying", lambda claim: claim.id), claims, known, run))
    changed = [story.told(r) for r in records if story.changed(r)]
    replayed = [r.id for r in records if r.run != run.folder.name]
    view = _view(settings, [*_committed(settings), *records])
    paths = _write_english(settings, view, run.folder)
    if as_json:
        rows = [json.loads(r.to_json()) for r in records]
        print_json({"run": run.folder.name, "replayed": replayed, "changed": changed, "records": rows})
    else:
        _print_counts(view)
        _print_decided(records, len(replayed))
        for path in paths:
            typer.echo(str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path))
        for line in changed:
            typer.echo(f"CHANGED {line}", err=True)
    if require_gpu and any(r.verdict.reason == "no_gpu" for r in records):
        raise Unmeasured("no_gpu", "GPU claims were not measured, and --require-gpu was given")
    raise typer.Exit(story.exit_code(records))


def _decided(
    in_turn: Iterable[Claim], claims: Iterable[Claim], known: Mapping[tuple[str, str], Record], run: Run
) -> Iterator[Record]:
    """The records of `claims`, in turn; those that need no GPU are decided side by side, some ahead of their turn.

    Neighbours often wait for one reading, so there are more processes than cores.
    """
    from muse import verify as story
    from muse.memory.isolate import Process

    held = {claim.id: record for claim in claims if (record := story.reuse(claim, known))}
    idle: SimpleQueue[Process] = SimpleQueue()

    def decide(claim: Claim) -> Record:
        process = idle.get()
        try:
            return process.ask(story.verify, claim, run)
        finally:
            idle.put(process)

    count = 2 * (os.cpu_count() or 1)
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(closing(Process({}, run.settings.timeout)))
            process.ask(gc.freeze)  # a prediction collects garbage twice, and need not look at what was imported
            idle.put(process)
        threads = ThreadPoolExecutor(count)
        stack.callback(threads.shutdown, cancel_futures=True)
        ahead = {c.id: threads.submit(decide, c) for c in claims if not c.needs and c.id not in held}
        for claim in in_turn:
            if claim.id in held:
                yield held[claim.id]
            else:
                yield ahead[claim.id].result() if claim.id in ahead else story.verify(claim, run)


def report(
    lang: Annotated[str | None, typer.Option(help="Only this language, such as `en`; all without it.")] = None,
    run: Annotated[str | None, typer.Option(help="Render one run (or `latest`) beside its records instead.")] = None,
) -> None:
    """Rewrite the committed reports, and the marked parts of the project's own texts, from committed records alone.

    Where nothing is committed yet, the latest run is rendered, beside its records.
    """
    from muse.reporting import publish
    from muse.reporting.words import ENGLISH, spoken
    from muse.store.files import RECORDS, find_run, known_runs, read
    from muse.verify import in_order, open_ledger, stale

    settings = load_settings()
    records, folder = _committed(settings), settings.path("reports")
    if not (run or records) and known_runs(settings.path("runs")):
        typer.echo("no evidence is committed yet: this is the latest run; `muse promote latest` commits it", err=True)
        run = "latest"
    if run:
        folder = find_run(settings.path("runs"), run)
        records += read(folder / RECORDS)
    ledger, templates = open_ledger(settings), _templates(settings)
    wanted = [lang] if lang else list(spoken(templates))
    found = publish.files(
        in_order(records, ledger),
        lambda record: stale(record, ledger),
        ledger.documents,
        wanted,
        templates,
    )
    texts = [] if run or lang not in (None, ENGLISH) else _renewed(settings, ledger, records)
    for path in publish.write(found, folder):
        typer.echo(str(path))
    for path in publish.left_over(found, folder):
        path.unlink()
        typer.echo(f"removed {path}")
    for path in publish.write({str(one.path.relative_to(settings.root)): one.content for one in texts}, settings.root):
        typer.echo(str(path))


def promote(run: Annotated[str, typer.Argument(help="A run's name, `latest`, or `all`.")]) -> None:
    """Move a run's records into the committed results; `all` where a run was cut off and gone on with."""
    from muse.store.files import find_run, known_runs
    from muse.store.files import promote as move

    settings = load_settings()
    runs, results = settings.path("runs"), settings.path("results")
    names = known_runs(runs) if run == "all" else []
    for folder in [find_run(runs, name) for name in names or [run]]:
        typer.echo(str(move(folder, results)))


def _renewed(settings: Settings, ledger: Ledger, records: list[Record]) -> list[Any]:
    """The project's own texts whose marked parts are not what the records give."""
    from muse.reporting import blocks
    from muse.reporting.quotes import Quotes
    from muse.reporting.words import ENGLISH, load
    from muse.verify import stale

    templates, words = _templates(settings), load(ENGLISH, _templates(settings))
    quotes = Quotes(records, lambda record: stale(record, ledger), ledger.claims)
    return blocks.renewed(settings.root, settings.path("reports"), blocks.renderer(records, quotes, words, templates))


def _committed(settings: Settings) -> list[Record]:
    from muse.store.files import read_all

    return read_all(settings.path("results"))


def _templates(settings: Settings) -> tuple[Path, ...]:
    from muse.reporting.words import searched

    return searched(settings.path("reports"))


def _view(settings: Settings, records: list[Record]) -> Any:
    """The view in English."""
    from muse.reporting.publish import titles
    from muse.reporting.view import build
    from muse.reporting.words import ENGLISH, load
    from muse.verify import in_order, open_ledger, stale

    ledger, words = open_ledger(settings), load(ENGLISH, _templates(settings))
    return build(
        in_order(records, ledger), lambda record: stale(record, ledger), titles(ledger.documents, ENGLISH), words
    )


def _write_english(settings: Settings, view: Any, folder: Path) -> list[Path]:
    from muse.reporting.publish import write
    from muse.reporting.render import render

    pages = render(view, _templates(settings))
    return write({f"{view.words.lang}/{name}": text.encode() for name, text in pages.items()}, folder)


def _print_counts(view: Any) -> None:
    """Verdict counts per document, in columns."""
    columns = ("claims", "confirmed", "refuted", "inconclusive", "unmeasured", "stale")
    tallies = [*((d.name, d.tally) for d in view.documents), ("all", view.total)]
    width = max(len(name) for name, _ in tallies)
    typer.echo("  ".join([" " * width, *columns]))
    for name, tally in tallies:
        counts = (f"{getattr(tally, column):>{len(column)}}" for column in columns)
        typer.echo("  ".join([f"{name:<{width}}", *counts]))


def _print_decided(records: list[Record], replayed: int) -> None:
    """How much of the table this run decided, how much of that by replaying earlier evidence, and why not the rest."""
    missing = Counter(r.verdict.reason for r in records if r.verdict.status is Status.UNMEASURED)
    typer.echo(f"decided by this run: {len(records) - missing.total()} of {len(records)}")
    if replayed:
        typer.echo(f"replayed: {replayed} of {len(records)} claims, measured before; --fresh measures all")
    for reason, count in sorted(missing.items()):
        typer.echo(f"not decided, {reason}: {count}; the table counts committed evidence for them, where there is any")
