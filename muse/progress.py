"""Progress on standard error, and only for people: silent where standard error is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], doing: str, name: Callable[[T], str]) -> Iterator[T]:
    """Yield `items`, showing how far it is and what is next."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    now = TextColumn("{task.fields[now]}")
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), now)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(doing, total=len(items), now="")
        for item in items:
            progress.update(task, now=name(item))
            yield item
            progress.advance(task)


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """Show that something is going on; yields a function that says what it is now."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _nobody
        return
    with console.status(doing) as status:
        yield status.update


def _nobody(text: str) -> None:
    """Tell nobody."""
