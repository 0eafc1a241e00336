"""What stands in the files of a ledger, and the JSON Schema of a claim file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from muse.claims.claim import Data, Drawn, Expect, Number, Signature, Status, Tolerance
from muse.units import UNITS


class FigureEntry(Data):
    """A picture that the document's report shows once there is evidence for it."""

    draw: Drawn
    claims: tuple[str, ...] = Field((), description="The claims whose cases it shows, by name.")
    title: str


class DocumentEntry(Data):
    """`document.yaml`: the document itself."""

    title: str
    original: str | None = Field(None, description="The title in the document's own words.")
    published: str
    hardware: str
    findings: tuple[str, ...] = Field((), description="What the report opens with; figures are claims in braces.")
    figures: dict[str, FigureEntry] = Field({}, description="The report's pictures by name.")


class CaseEntry(Data):
    """One row of a claim's table: what differs from the claim."""

    says: str | None = Field(None, description="The statement in one English sentence.")
    quote: str | None = Field(None, description="The document's own words.")
    documented: Number | None = Field(None, description="The number as printed, with all its digits.")
    unit: str | None = Field(None, description="The unit of the number and of the bound.")
    probe: str | None = Field(None, description="The probe that decides it.")
    quantity: str | None = Field(None, description="Which of the probe's quantities.")
    given: dict[str, Any] = Field({}, description="What the probe is given; a case adds to its claim's.")
    protocol: Literal["documented", "sound"] | None = Field(None, description="How it is measured.")
    expect: Expect | None = Field(None, description="The bound; by default, equal to the documented number.")
    tolerance: Tolerance | None = Field(None, description="Overrides the default tolerance of `equals`.")
    recorded: Status | None = Field(None, description="The verdict that we last stood behind.")
    cause: str | None = Field(None, description="Why, in one sentence, when the verdict is not confirmed.")


class ClaimEntry(CaseEntry):
    """One claim of a file, with or without a table of cases."""

    beside: str | None = Field(None, description="The claim of the same document whose sentence this one serves.")
    cases: dict[str, CaseEntry] = Field({}, description="Rows by name.")


class ClaimFile(Data):
    """One section of a document."""

    section: str = Field(description="The heading in the document, in English.")
    original: str | None = Field(None, description="The heading in the document's own words.")
    claims: dict[str, ClaimEntry] = Field(description="Claims by name; a name is unique in its document.")


def json_schema(probes: Mapping[str, Signature]) -> dict[str, Any]:
    """The JSON Schema of a claim file, with this program's probes, quantities and units filled in."""
    schema = ClaimFile.model_json_schema()
    quantities = sorted({name for signature in probes.values() for name in signature.quantities})
    for entry in ("CaseEntry", "ClaimEntry"):
        properties = schema["$defs"][entry]["properties"]
        for key, allowed in (("probe", sorted(probes)), ("quantity", quantities), ("unit", list(UNITS))):
            properties[key] = {"enum": [*allowed, None], "description": properties[key]["description"]}
    return schema
