"""Commands about a model's memory: predict, measure."""

from __future__ import annotations

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
Train = Annotated[bool, typer.Option("--train", help="A whole training step instead of one forward pass.")]
Batch = Annotated[int, typer.Option(help="Sequences at once.")]
Tokens = Annotated[int, typer.Option(help="Tokens per sequence.")]
Dtype = Annotated[str, typer.Option(help="float32, float16 or bfloat16.")]
Budget = Annotated[str | None, typer.Option(help="An amount of memory, such as 8GiB.")]


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
    cap = None if budget is None else parse_bytes(budget)
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
        "total_bytes": found.peak,
        "by_kind": found.by_kind,
        "reserved_bytes": found.reserved,
        "process_bytes": found.process,
        "machine": machine.slug(),
    }
    _print_memory(facts, cap, as_json)


def _workload(model: str, train: bool, batch: int, tokens: int, dtype: str) -> Workload:
    """The workload of the command line's words. Raises UsageError before torch is loaded where it can."""
    from muse.models import PRESETS

    if model not in PRESETS:
        raise UsageError(f"unknown model {model!r}; allowed are {', '.join(PRESETS)}")
    from muse.probes.workloads import workload

    return workload({"model": model, "train": train, "batch": batch, "tokens": tokens, "dtype": dtype})


def _print_memory(facts: dict[str, Any], budget: int | None, as_json: bool) -> None:
    """A breakdown; with a budget, also whether it fits."""
    if budget is not None:
        facts |= {"budget_bytes": budget, "fits": facts["total_bytes"] <= budget}
    if as_json:
        print_json(facts)
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
