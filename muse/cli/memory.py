"""Commands about a model's memory: predict, measure, fit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muse import machine
from muse.cli.printing import Json, print_json
from muse.config import load_settings
from muse.errors import Unmeasured, UsageError
from muse.units import parse_bytes, printed

if TYPE_CHECKING:
    from muse.memory.workload import Workload

ModelName = Annotated[str, typer.Argument(help="A preset, such as phase8_maximum.")]
Train = Annotated[bool, typer.Option("--train", help="A training step instead of one forward pass.")]
Optimizer = Annotated[
    str | None,
    typer.Option(
        help="Of the training step: none, sgd, adamw (without it), adamw8bit, adafactor, or one of\
 these with _in_backward."
    ),
]
Batch = Annotated[int, typer.Option(help="Sequences at once.")]
Tokens = Annotated[int, typer.Option(help="Tokens per sequence.")]
Dtype = Annotated[str, typer.Option(help="float32, float16 or bfloat16.")]
CardName = Annotated[
    str | None,
    typer.Option("--card", help="A known card, such as h100 or rtx3080-laptop, or a YAML file; by default this GPU."),
]
Budget = Annotated[str | None, typer.Option(help="An amount of memory, such as 8GiB.")]


TOO_LARGE = 5
"""The exit code of what does not fit its budget."""


class Mode(StrEnum):
    """What is run."""

    inference = "inference"
    training = "training"


class Vary(StrEnum):
    """What makes a model larger."""

    width = "width"
    layers = "layers"


def predict(
    model: ModelName,
    train: Train = False,
    optimizer: Optimizer = None,
    batch: Batch = 1,
    tokens: Tokens = 512,
    dtype: Dtype = "float16",
    budget: Budget = None,
    card_name: CardName = None,
    as_json: Json = False,
) -> None:
    """Predict the peak memory of a model on a GPU, without one."""
    settings, what = load_settings(), _workload(model, train, optimizer, batch, tokens, dtype)
    cap = None if budget is None else parse_bytes(budget)
    from muse.memory.card import card, this_card
    from muse.memory.predict import predict as run
    from muse.memory.predict import workspace_bytes
    from muse.progress import working

    chosen = card(card_name) if card_name else this_card()
    with working(f"predicting {model}"):
        found = run(what, workspace_bytes(settings.cublas_workspace), chosen)
    facts = {
        "model": model,
        "scope": "predicted",
        "card": chosen.name,
        "tokens": tokens,
        "batch": batch,
        "dtype": dtype,
        "train": train,
        "optimizer": what.optimizer if train else None,
        "total_bytes": found.total_bytes,
        "by_kind": dict(found.by_kind),
        "reserved_bytes": found.reserved,
    }
    _print_memory(facts, cap, as_json)


def measure(
    model: ModelName,
    train: Train = False,
    optimizer: Optimizer = None,
    batch: Batch = 1,
    tokens: Tokens = 512,
    dtype: Dtype = "float16",
    budget: Budget = None,
    as_json: Json = False,
) -> None:
    """Measure the peak memory of a model on this machine's GPU, under a hard cap if a budget is given."""
    settings, what = load_settings(), _workload(model, train, optimizer, batch, tokens, dtype)
    cap = None if budget is None else parse_bytes(budget)
    if cap is not None:
        machine.check_budget(cap)
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
        "optimizer": what.optimizer if train else None,
        "total_bytes": found.peak,
        "by_kind": found.by_kind,
        "reserved_bytes": found.reserved,
        "process_bytes": found.process,
        "machine": machine.slug(),
    }
    _print_memory(facts, cap, as_json)


def fit(
    model: ModelName,
    budget: Annotated[str, typer.Option(help="An amount of memory, such as 8GiB.")],
    mode: Annotated[Mode, typer.Option(help="One forward pass, or a whole training step.")],
    optimizer: Annotated[str | None, typer.Option(help="Of a training step; adamw by default.")] = None,
    tokens: Tokens = 512,
    vary: Annotated[Vary, typer.Option(help="What is varied to make the model larger.")] = Vary.width,
    as_json: Json = False,
) -> None:
    """Find the largest model of a preset's kind that fits a budget: predicted, then confirmed on the GPU."""
    from muse import verify as story
    from muse.models import check
    from muse.probes import capacity
    from muse.probes.bench import Bench
    from muse.progress import working

    settings, cap = load_settings(), parse_bytes(budget)
    story.register(settings)
    check(model)
    machine.check_budget(cap)
    given: dict[str, Any] = {"model": model, "tokens": tokens, "vary": vary.value, "budget": cap}
    if mode is Mode.training:
        given |= {"train": True, "optimizer": optimizer or "adamw"}
    elif optimizer:
        raise UsageError(f"--optimizer {optimizer} belongs to --mode training; inference has none")
    run = story.Run.start(settings)
    with working(f"fitting {model}") as say, _dropped_on_error(run.folder):
        bench = Bench(settings, run.folder / "readings", say=say)
        predicted = capacity.largest(given, bench, measured=False)
        claim = capacity.as_claim(mode.value, given, predicted)
        if machine.gpus():
            with suppress(Unmeasured):  # remembered, and told by the record
                capacity.largest(given, bench, measured=True)
    record = story.verify(claim, run)
    facts = {
        **given,
        "predicted": predicted,
        "verdict": record.verdict.status.value,
        "reason": record.verdict.reason,
        "detail": record.verdict.detail,
        "measured": record.measurement and record.measurement.how["found"],
        "record": str(run.records),
    }
    if as_json:
        print_json(facts)
    else:
        _print_fit(facts, budget)
    raise typer.Exit(story.exit_code([record]))


@contextmanager
def _dropped_on_error(folder: Path) -> Iterator[None]:
    """Leave no folder of a run that a wrong request ended before its first record."""
    try:
        yield
    except UsageError:
        shutil.rmtree(folder)
        raise


def _print_fit(facts: dict[str, Any], budget: str) -> None:
    """Prediction and measurement, each in a line."""
    typer.echo(f"{facts['model']} under {budget}, {facts['tokens']} tokens, {facts['vary']} varied")
    for name in ("predicted", "measured"):
        found = facts[name]
        told = facts["detail"] if found is None else f"{found['parameters']:,} parameters"
        size = "" if found is None else f", {facts['vary']} {found['size']}"
        typer.echo(f"{name:>12}  {told}{size}")
    typer.echo(f"{'verdict':>12}  {facts['verdict']}, {facts['reason']}")
    typer.echo(f"{'record':>12}  {facts['record']}")


def _workload(model: str, train: bool, optimizer: str | None, batch: int, tokens: int, dtype: str) -> Workload:
    """The workload of the command line's words. Raises UsageError before torch is loaded where it can."""
    from muse.models import check
    from muse.verify import register

    register(load_settings())
    check(model)
    if optimizer and not train:
        raise UsageError(f"--optimizer {optimizer} belongs to --train; a forward pass has none")
    from muse.probes.workloads import workload

    taken = optimizer or "adamw"
    stated = {"model": model, "train": train, "optimizer": taken, "batch": batch, "tokens": tokens, "dtype": dtype}
    return workload(stated)


def _print_memory(facts: dict[str, Any], budget: int | None, as_json: bool) -> None:
    """A breakdown; with a budget, also whether it fits, which the exit code tells too."""
    if budget is not None:
        facts |= {"budget_bytes": budget, "fits": facts["total_bytes"] <= budget}
    if as_json:
        print_json(facts)
    else:
        _print_breakdown(facts, budget)
    if not facts.get("fits", True):
        raise typer.Exit(TOO_LARGE)


def _print_breakdown(facts: dict[str, Any], budget: int | None) -> None:
    heading = "training step" if facts["train"] else "forward pass"
    scope = f"predicted for {facts['card']}" if "card" in facts else facts["scope"]
    typer.echo(f"{facts['model']}, {heading}, {facts['batch']} x {facts['tokens']} tokens, {facts['dtype']}, {scope}")
    for kind, size in facts["by_kind"].items():
        typer.echo(f"{kind:>12}  {printed(size, 'MiB', 2):>12} MiB")
    typer.echo(f"{'total':>12}  {printed(facts['total_bytes'], 'MiB', 2):>12} MiB")
    if budget is not None:
        typer.echo(
            f"{'budget':>12}  {printed(budget, 'MiB', 2):>12} MiB  {'fits' if facts['fits'] else 'does not fit'}"
        )
