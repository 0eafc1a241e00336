"""The `muse` program: parse, one call, print. Every command that prints facts has `--json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from muse import machine
from muse.claims.claim import Claim
from muse.config import Settings, load_settings
from muse.errors import LedgerError, MuseError, Unmeasured, UsageError
from muse.units import parse_bytes, printed

if TYPE_CHECKING:
    from muse.memory.workload import Workload

app = typer.Typer(
    name="muse",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Verify what documents claim about memory-efficient language models.",
    epilog="Exit codes: 0 as recorded, 1 a verdict changed, 2 usage, 3 could not measure, 4 ledger or store fault.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Selection = Annotated[str | None, typer.Argument(help="Part of a claim's address; all without it.")]
ModelName = Annotated[str, typer.Argument(help="A preset, such as phase8_maximum.")]
Train = Annotated[bool, typer.Option("--train", help="A whole training step instead of one forward pass.")]
Batch = Annotated[int, typer.Option(help="Sequences at once.")]
Tokens = Annotated[int, typer.Option(help="Tokens per sequence.")]
Dtype = Annotated[str, typer.Option(help="float32, float16 or bfloat16.")]
Budget = Annotated[str | None, typer.Option(help="An amount of memory, such as 8GiB.")]


@app.command("list")
def list_(selection: Selection = None, as_json: Json = False) -> None:
    """List the claims with their recorded verdicts."""
    from muse.verify import open_ledger, select

    claims = select(open_ledger(load_settings()), selection)
    if as_json:
        _print_json([_listed(claim) for claim in claims])
        return
    for claim in claims:
        typer.echo(f"{claim.recorded:<12}  {claim.id}")
    typer.echo(f"{len(claims)} claims")


def _listed(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id,
        "document": claim.document,
        "says": claim.says,
        "documented": None if claim.documented is None else float(claim.documented),
        "unit": claim.unit,
        "probe": claim.probe,
        "protocol": claim.protocol,
        "needs": list(claim.needs),
        "recorded": str(claim.recorded),
    }


@app.command()
def show(id_: Annotated[str, typer.Argument(metavar="ID", help="A claim's address.")], as_json: Json = False) -> None:
    """Show one claim and the newest committed evidence for it."""
    from muse.store.files import read_all
    from muse.verify import open_ledger, select, stale

    settings = load_settings()
    ledger = open_ledger(settings)
    claim = next((c for c in select(ledger, id_) if c.id == id_), None) or _only(select(ledger, id_), id_)
    records = [r for r in read_all(settings.path("results")) if r.claim.id == claim.id]
    newest = max(records, key=lambda r: r.time, default=None)
    facts = claim.model_dump(mode="json", exclude_defaults=True) | {"needs": list(claim.needs)}
    if newest:
        facts["evidence"] = json.loads(newest.to_json()) | {"stale": stale(newest, ledger)}
        facts["evidence"].pop("claim")
    if as_json:
        _print_json(facts)
        return
    for key, value in facts.items():
        typer.echo(f"{key:>10}  {value if not isinstance(value, dict) else json.dumps(value, ensure_ascii=False)}")


def _only(claims: tuple[Claim, ...], text: str) -> Claim:
    if len(claims) > 1:
        raise UsageError(f"{text!r} is part of {len(claims)} addresses, such as {claims[0].id}; give a whole one")
    return claims[0]


@app.command()
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
        _print_json({"run": run.folder.name, "changed": changed, "records": [json.loads(r.to_json()) for r in records]})
    else:
        _print_counts(view)
        for path in paths:
            typer.echo(str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path))
        for line in changed:
            typer.echo(f"CHANGED {line}", err=True)
    if require_gpu and any(r.verdict.reason == "no_gpu" for r in records):
        raise Unmeasured("no_gpu", "GPU claims were not measured, and --require-gpu was given")
    raise typer.Exit(story.exit_code(records))


@app.command()
def predict(
    model: ModelName,
    train: Train = False,
    batch: Batch = 1,
    tokens: Tokens = 512,
    dtype: Dtype = "float16",
    budget: Budget = None,
    as_json: Json = False,
) -> None:
    """Predict the peak memory of a model on a GPU, without one."""
    settings, what = load_settings(), _workload(model, train, batch, tokens, dtype)
    cap = None if budget is None else _budget(budget)
    from muse.memory.predict import predict as run
    from muse.memory.predict import workspace_bytes
    from muse.progress import working

    with working(f"predicting {model}"):
        found = run(what, workspace_bytes(settings.cublas_workspace))
    facts = {
        "model": model,
        "scope": "predicted",
        "tokens": tokens,
        "batch": batch,
        "dtype": dtype,
        "train": train,
        "total_bytes": found.total_bytes,
        "by_kind": dict(found.by_kind),
    }
    _print_memory(facts, cap, as_json)


@app.command()
def measure(
    model: ModelName,
    train: Train = False,
    batch: Batch = 1,
    tokens: Tokens = 512,
    dtype: Dtype = "float16",
    budget: Budget = None,
    as_json: Json = False,
) -> None:
    """Measure the peak memory of a model on this machine's GPU, under a hard cap if a budget is given."""
    settings, what = load_settings(), _workload(model, train, batch, tokens, dtype)
    cap = None if budget is None else _budget(budget)
    if not machine.gpus():
        raise Unmeasured("no_gpu", "no NVIDIA GPU is visible to its driver; `muse predict` needs none")
    from muse.memory import peak
    from muse.memory.isolate import isolate
    from muse.progress import working

    with working(f"measuring {model}"), machine.lease(exclusive=False):
        found = isolate(peak.sound, what, cap, environment=settings.environment, timeout=settings.timeout)
    facts = {
        "model": model,
        "scope": "emulated" if cap else "measured",
        "tokens": tokens,
        "batch": batch,
        "dtype": dtype,
        "train": train,
        "total_bytes": found.peak,
        "by_kind": found.by_kind,
        "reserved_bytes": found.reserved,
        "process_bytes": found.process,
        "machine": machine.slug(),
    }
    _print_memory(facts, cap, as_json)


@app.command()
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


@app.command()
def promote(run: Annotated[str, typer.Argument(help="A run's name, or `latest`.")]) -> None:
    """Move a run's records into the committed results."""
    from muse.store.files import find_run
    from muse.store.files import promote as move

    settings = load_settings()
    typer.echo(str(move(find_run(settings.path("runs"), run), settings.path("results"))))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine can decide, and why not the rest."""
    from muse.store.provenance import provenance
    from muse.verify import NOT_HERE, open_ledger, possible

    settings = load_settings()
    claims = open_ledger(settings).claims
    reasons: dict[str, int] = {}
    for claim in claims:
        try:
            possible(claim)
        except Unmeasured as error:
            reasons[error.reason] = reasons.get(error.reason, 0) + 1
    facts = {
        **provenance(settings),
        "gpus": [gpu.name for gpu in machine.gpus()],
        "claims": len(claims),
        "decidable": len(claims) - sum(reasons.values()),
        "undecidable": {reason: reasons[reason] for reason in NOT_HERE if reason in reasons},
    }
    if as_json:
        _print_json(facts)
        return
    for key, value in facts.items():
        typer.echo(f"{key:>12}  {json.dumps(value, ensure_ascii=False)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a claim file, for editors."""
    from muse.claims.ledger import json_schema
    from muse.probes import PROBES

    _print_json(json_schema(PROBES))


def _workload(model: str, train: bool, batch: int, tokens: int, dtype: str) -> Workload:
    """The workload of the command line's words. Raises UsageError before torch is loaded where it can."""
    from muse.models import PRESETS

    if model not in PRESETS:
        raise UsageError(f"unknown model {model!r}; allowed are {', '.join(PRESETS)}")
    from muse.probes.workloads import workload

    return workload({"model": model, "train": train, "batch": batch, "tokens": tokens, "dtype": dtype})


def _budget(text: str) -> int:
    budget = parse_bytes(text)
    machine.check_budget(budget)
    return budget


def _print_memory(facts: dict[str, Any], budget: int | None, as_json: bool) -> None:
    """A breakdown; with a budget, also whether it fits."""
    if budget is not None:
        facts |= {"budget_bytes": budget, "fits": facts["total_bytes"] <= budget}
    if as_json:
        _print_json(facts)
        return
    heading = "training step" if facts["train"] else "forward pass"
    typer.echo(
        f"{facts['model']}, {heading}, {facts['batch']} x {facts['tokens']} tokens, {facts['dtype']}, {facts['scope']}"
    )
    for kind, size in facts["by_kind"].items():
        typer.echo(f"{kind:>12}  {printed(size, 'MiB', 2):>12} MiB")
    typer.echo(f"{'total':>12}  {printed(facts['total_bytes'], 'MiB', 2):>12} MiB")
    if budget is not None:
        typer.echo(
            f"{'budget':>12}  {printed(budget, 'MiB', 2):>12} MiB  {'fits' if facts['fits'] else 'does not fit'}"
        )


def _committed(settings: Settings) -> list[Any]:
    from muse.store.files import read_all

    return read_all(settings.path("results"))


def _view(settings: Settings, records: list[Any]) -> Any:
    from muse.reporting.view import build
    from muse.verify import open_ledger, stale

    ledger = open_ledger(settings)
    return build(records, lambda record: stale(record, ledger), {d.name: d.title for d in ledger.documents.values()})


def _write(settings: Settings, view: Any, folder: Path) -> list[Path]:
    from muse.reporting.render import write

    return write(view, settings.path("reports") / "templates", folder)


def _print_counts(view: Any) -> None:
    """Verdict counts per document."""
    from rich.console import Console
    from rich.table import Table

    columns = ("claims", "confirmed", "refuted", "inconclusive", "unmeasured", "stale")
    table = Table("document", *columns)
    for name, tally in [*((d.name, d.tally) for d in view.documents), ("all", view.total)]:
        table.add_row(name, *(str(getattr(tally, column)) for column in columns))
    Console().print(table)


def _print_json(facts: Any) -> None:
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))


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
