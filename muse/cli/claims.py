"""Commands about the claims: list, show, schema, doctor."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from muse import machine
from muse.claims.claim import Claim, Ledger
from muse.cli.printing import Json, Selection, print_json
from muse.config import load_settings
from muse.errors import Unmeasured, UsageError
from muse.store.record import Record


def list_(selection: Selection = None, as_json: Json = False) -> None:
    """List the claims with their recorded verdicts."""
    from muse.verify import open_ledger, select

    claims = select(open_ledger(load_settings()), selection)
    if as_json:
        print_json([_listed(claim) for claim in claims])
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


def show(id_: Annotated[str, typer.Argument(metavar="ID", help="A claim's address.")], as_json: Json = False) -> None:
    """Show one claim and the committed evidence that speaks for it in the reports."""
    from muse.reporting.evidence import chosen
    from muse.store.files import read_all
    from muse.verify import open_ledger, stale

    settings = load_settings()
    ledger = open_ledger(settings)
    claim = only(ledger, id_)
    spoken = chosen([r for r in read_all(settings.path("results")) if r.claim.id == claim.id])
    facts = claim.model_dump(mode="json", exclude_defaults=True) | {"needs": list(claim.needs)}
    for record in spoken:
        facts["evidence"] = json.loads(record.to_json()) | {"stale": stale(record, ledger)}
        facts["evidence"].pop("claim")
    if as_json:
        print_json(facts)
        return
    evidence = facts.pop("evidence", None)
    _print_facts(facts)
    for record in spoken:
        _print_facts(_told(record) | {"stale": evidence["stale"]})


def _told(record: Record) -> dict[str, Any]:
    """The evidence in the claim's unit, and where it comes from."""
    from muse.verify import figure

    taken, source = record.measurement, record.provenance
    told: dict[str, Any] = {
        "verdict": f"{record.verdict.status}, {record.verdict.reason} {record.verdict.detail}".strip()
    }
    if taken:
        told |= {"value": figure(taken, record.claim.unit), "scope": taken.scope, "how": dict(taken.how)}
    return told | {"machine": source["machine"], "commit": source["commit"], "time": record.time, "record": record.id}


def _print_facts(facts: dict[str, Any]) -> None:
    from muse.reporting.figures import plain_text

    for key, value in facts.items():
        typer.echo(f"{key:>12}  {value if isinstance(value, str) else plain_text(value)}")


def only(ledger: Ledger, text: str) -> Claim:
    """The claim with that address, or the only one whose address contains it. Raises UsageError for none or several."""
    from muse.verify import select

    claims = select(ledger, text)
    if exact := next((claim for claim in claims if claim.id == text), None):
        return exact
    if len(claims) > 1:
        raise UsageError(f"{text!r} is part of {len(claims)} addresses, such as {claims[0].id}; give a whole one")
    return claims[0]


def doctor(as_json: Json = False) -> None:
    """Say what this machine can decide, and why not the rest."""
    from muse.memory.card import DEFAULT, this_card
    from muse.store.provenance import provenance
    from muse.verify import NOT_HERE, open_ledger, possible

    settings = load_settings()
    claims: tuple[Claim, ...] = ()
    ledger = {}
    try:
        claims = open_ledger(settings).claims
    except UsageError as error:
        ledger = {"ledger": str(error)}
    reasons: dict[str, int] = {}
    for claim in claims:
        try:
            possible(claim)
        except Unmeasured as error:
            reasons[error.reason] = reasons.get(error.reason, 0) + 1
    facts = {
        **provenance(settings),
        "gpus": [gpu.name for gpu in machine.gpus()],
        "card": this_card().facts()
        if machine.gpus()
        else f"none; predictions are for {DEFAULT} unless --card names one",
        "claims": len(claims),
        "decidable": len(claims) - sum(reasons.values()),
        "undecidable": {reason: reasons[reason] for reason in NOT_HERE if reason in reasons},
        **ledger,
    }
    if as_json:
        print_json(facts)
        return
    _print_facts(facts)


def schema() -> None:
    """Print the JSON Schema of a claim file, for editors."""
    from muse.claims.entries import json_schema
    from muse.probes import PROBES

    print_json(json_schema(PROBES))
