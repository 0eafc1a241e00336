"""The command about a document's numbers: coverage."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muse.claims.claim import Claim, Ledger, Scope, Status
from muse.cli.printing import Json, print_json
from muse.config import Settings, load_settings

if TYPE_CHECKING:
    from muse.coverage.match import Coverage, Place
    from muse.coverage.page import Shown
    from muse.reporting.verdicts import Verdicts

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Markdown or LaTeX documents.")]
As = Annotated[str | None, typer.Option("--as", help="The document's name, where the file is called otherwise.")]
Html = Annotated[Path | None, typer.Option(help="Also write the documents as a page with every number coloured.")]


def coverage(files: Files, as_: As = None, html: Html = None, as_json: Json = False) -> None:
    """List every number of a document as bound to a claim, declared to be none, or uncovered."""
    from muse.coverage import bindings, document, match
    from muse.reporting.words import searched
    from muse.verify import open_ledger

    settings = load_settings()
    ledger = open_ledger(settings)
    coverages = []
    for file in files:
        text = document.read(file)
        listed = bindings.find(settings.path("claims"), file.name, as_)
        coverages.append(match.cover(text, bindings.load(listed, ledger)))
    verdicts = _verdicts(settings, ledger, coverages)
    if html:
        from muse.coverage import page

        page.write(html, coverages, verdicts, searched(settings.path("reports")))
    if as_json:
        print_json([_facts(one, verdicts) for one in coverages])
    else:
        for one in coverages:
            _print(one, verdicts)
        _print_untranslated(ledger, searched(settings.path("reports")), {one.bindings.document for one in coverages})
    raise typer.Exit(0 if all(one.complete for one in coverages) else 1)


def _verdicts(settings: Settings, ledger: Ledger, coverages: Sequence[Coverage]) -> Mapping[str, Shown]:
    """The verdict of every bound claim by its id: by committed evidence, else as recorded."""
    from muse.reporting.verdicts import Verdicts
    from muse.store.files import read_all
    from muse.verify import stale

    verdicts = Verdicts(read_all(settings.path("results")), lambda record: stale(record, ledger), ledger.claims)
    bound = {place.claim.id: place.claim for one in coverages for place in one.places if place.claim}
    return {id_: _shown(claim, verdicts) for id_, claim in bound.items()}


def _shown(claim: Claim, verdicts: Verdicts) -> Shown:
    """The claim's verdict, and what is told beside it: its prediction's, and those of the claims beside it."""
    from muse.coverage.page import Shown

    mine = verdicts.of(claim)
    told = []
    for other in verdicts.beside(claim):
        one = verdicts.of(other)
        marks = ["predicted"] if one.scope is Scope.PREDICTED else []
        marks += [f"the prediction is {one.prediction}"] if one.prediction else []
        if one.status is not Status.UNMEASURED and (one.status is not mine.status or one.prediction):
            told.append(f"{other.name} is {one.status}" + "".join(f", {mark}" for mark in marks))
    beside = tuple(dict.fromkeys(told))
    return Shown(mine.status, mine.recorded, mine.stale, beside, mine.scope, mine.prediction)


def _facts(one: Coverage, verdicts: Mapping[str, Shown]) -> dict[str, Any]:
    from muse.coverage.page import kind

    return {
        "file": str(one.document.path),
        "document": one.bindings.document,
        "complete": one.complete,
        "numbers": [
            {
                "line": place.line,
                "section": place.section,
                "printed": place.number.printed,
                "is": kind(place, verdicts),
                "claim": place.claim and place.claim.id,
                "recorded": place.claim and verdicts[place.claim.id].recorded,
                "scope": place.claim and verdicts[place.claim.id].scope,
                "prediction": place.claim and verdicts[place.claim.id].prediction,
                "reason": place.reason,
            }
            for place in one.places
        ],
        "unused": [{"line": line, "says": text} for line, text in one.unused],
    }


def _print(one: Coverage, verdicts: Mapping[str, Shown]) -> None:
    """Every number by section; then what is uncovered, what binds nothing, and the counts."""
    typer.echo(f"{one.document.path} as {one.bindings.document}")
    sections: defaultdict[str, list[Place]] = defaultdict(list)
    for place in one.places:
        sections[place.section].append(place)
    for heading, places in sections.items():
        typer.echo(f"\n{heading or '(before the first heading)'}")
        declared: defaultdict[str, list[str]] = defaultdict(list)
        for place in places:
            if place.reason is not None:
                declared[place.reason].append(place.number.printed)
            elif place.claim:
                address = place.claim.id.removeprefix(f"{one.bindings.document}/")
                told = f"{address}: {verdicts[place.claim.id]}"
                typer.echo(f"{place.line:>6}  {place.number.printed:<10}  {told}")
        for reason, printed in declared.items():
            typer.echo(f"        declared, {reason}: {', '.join(dict.fromkeys(printed))}")
    typer.echo("")
    for line, text in one.unused:
        typer.echo(f"{one.bindings.file}:{line}: unused: {text}")
    for place in one.uncovered:
        quote = one.document.quote(place.number)
        typer.echo(f'{one.document.path}:{place.line}: {place.number.printed} uncovered ("{quote}")')
    _print_counts(one, verdicts)


def _print_untranslated(ledger: Ledger, templates: Sequence[Path], documents: set[str]) -> None:
    """Sentences of the documents' claims that stand in English in another language's report."""
    from muse.reporting.words import ENGLISH, load, sentences, spoken

    named = {name: one for name, one in ledger.documents.items() if name in documents}
    said = sentences(Ledger(named, tuple(claim for claim in ledger.claims if claim.document in documents)))
    for lang in spoken(templates):
        if lang != ENGLISH and (missing := load(lang, templates).untranslated(said)):
            typer.echo(f"\n{lang}: {len(missing)} sentences have no translation")
            for sentence in missing:
                typer.echo(f"  {sentence}")


def _print_counts(one: Coverage, verdicts: Mapping[str, Shown]) -> None:
    from muse.coverage.page import counts

    reasons = Counter(place.reason for place in one.places if place.reason is not None)
    rows = {"numbers": len(one.places), **counts(one, verdicts), "unused": len(one.unused)}
    for name, count in rows.items():
        why = ", ".join(f"{reason} {n}" for reason, n in reasons.items()) if name == "declared" else ""
        typer.echo(f"{name:>13}  {count:>4}  {why}".rstrip())
    if predicted := sum(place.claim is not None and verdicts[place.claim.id].predicted for place in one.places):
        typer.echo(f"    predicted  {predicted:>4}  of these, decided by a prediction alone")
