"""Claim files become claims; every fault of every file is reported at once, with its line.

One folder per document, with `document.yaml` about the document itself and one file per section;
`numbers.yaml`, where there is one, belongs to `muse.coverage`.
A claim may hold a table of `cases`; each case repeats only what differs, so that YAML reads like the document.
A cause may name another claim in braces, `{peak[ultra]}`, where reports print that claim's figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from muse.claims import positions
from muse.claims.claim import Claim, Data, Document, Expect, Figure, Ledger, Signature, Status, cited
from muse.claims.entries import CaseEntry, ClaimEntry, ClaimFile, DocumentEntry
from muse.errors import LedgerError
from muse.units import UNITS

_Parsed = TypeVar("_Parsed", bound=Data)


def load_ledger(folder: Path, probes: Mapping[str, Signature]) -> Ledger:
    """Every claim under `folder`. Raises LedgerError with all faults of all files."""
    reader = _Reader(folder, probes)
    documents = {}
    for home in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("_")):
        if document := reader.document(home):
            documents[home.name] = document
        for file in sorted(home.glob("*.yaml")):
            if file.name not in ("document.yaml", "numbers.yaml"):
                reader.section(home.name, file)
    reader.check_neighbours()
    reader.check_causes()
    reader.check_figures(documents)
    reader.check_findings()
    if reader.faults:
        raise LedgerError(sorted(reader.faults))
    return Ledger(documents, tuple(claim for claim, _, _ in reader.found.values()))


class _Reader:
    """Collects claims and faults over all files."""

    def __init__(self, folder: Path, probes: Mapping[str, Signature]) -> None:
        self.folder = folder
        self.probes = probes
        self.faults: list[str] = []
        self.found: dict[str, tuple[Claim, Path, int]] = {}
        self.causes: dict[str, int] = {}
        """The line of each claim's cause."""
        self.figures: dict[str, tuple[Path, int]] = {}
        """Where each figure stands, by name."""
        self.findings: dict[tuple[str, str], tuple[Path, int]] = {}
        """Where each finding stands, by document and text."""

    def fault(self, file: Path, line: int, text: str) -> None:
        self.faults.append(f"{file}:{line}: {text}")

    def parse(self, file: Path, kind: type[_Parsed]) -> tuple[_Parsed | None, positions.Page]:
        """The file as `kind`, or None with its faults noted."""
        page = positions.read(file)
        for line, text in page.faults:
            self.fault(file, line, text)
        if page.faults:
            return None, page
        try:
            return kind.model_validate(page.data), page
        except ValidationError as error:
            for one in error.errors():
                place = tuple(one["loc"])
                self.fault(file, page.line(place), told(one["type"], one["msg"], place, one.get("input")))
            return None, page

    def document(self, home: Path) -> Document | None:
        file = home / "document.yaml"
        if not file.exists():
            self.fault(file, 1, "missing, expected a file with title, published and hardware")
            return None
        entry, page = self.parse(file, DocumentEntry)
        if entry is None:
            return None
        for name in entry.figures:
            self.figures[f"{home.name}-{name}"] = file, page.line(("figures", name))
        figures = tuple(
            Figure(f"{home.name}-{name}", one.draw, tuple(f"{home.name}/{claim}" for claim in one.claims), one.title)
            for name, one in entry.figures.items()
        )
        for number, finding in enumerate(entry.findings):
            self.findings[home.name, finding] = file, page.line(("findings", number))
        return Document(
            home.name, entry.title, entry.published, entry.hardware, entry.original, figures, entry.findings
        )

    def section(self, document: str, file: Path) -> None:
        parsed, page = self.parse(file, ClaimFile)
        if parsed is None:
            return
        for name, entry in parsed.claims.items():
            for case in entry.cases or (None,):
                place: positions.Place = ("claims", name, "cases", case) if case else ("claims", name)
                claim_id = f"{document}/{name}[{case}]" if case else f"{document}/{name}"
                line = page.line(place)
                row = entry.cases[case] if case else entry
                if claim_id in self.found:
                    _, other, at = self.found[claim_id]
                    self.fault(file, line, f"duplicate id {claim_id}, first stated at {other}:{at}")
                elif claim := self.claim(claim_id, parsed, entry, row, file, line):
                    self.found[claim_id] = claim, file, line
                    self.causes[claim_id] = page.line((*(place if row.cause else place[:2]), "cause"))

    def claim(  # noqa: PLR0913, PLR0917  # one row and where it stands
        self, claim_id: str, parsed: ClaimFile, entry: ClaimEntry, row: CaseEntry, file: Path, line: int
    ) -> Claim | None:
        """The claim of one row, or None with its faults noted."""
        stated = {key: value for key in CaseEntry.model_fields if (value := getattr(entry, key)) is not None}
        stated |= {key: getattr(row, key) for key in row.model_fields_set if key != "cases"}
        stated["given"] = {**entry.given, **row.given}
        document = claim_id.split("/", maxsplit=1)[0]
        if stated.get("expect") is None and stated.get("documented") is not None:
            kind = "attainable" if stated.get("probe") == "arithmetic" else "equals"
            stated["expect"] = Expect(**{kind: stated["documented"]})
        before = len(self.faults)
        for text in self.faults_of(stated):
            self.fault(file, line, f"{claim_id}: {text}")
        if len(self.faults) > before:
            return None
        signature = self.probes.get(stated.get("probe") or "")
        return Claim.model_validate(
            {
                **{key: value for key, value in stated.items() if key != "cases"},
                "id": claim_id,
                "document": document,
                "section": parsed.section,
                "original": parsed.original,
                "beside": entry.beside and f"{document}/{entry.beside}",
                "needs": signature.needs if signature else (),
            }
        )

    def faults_of(self, stated: Mapping[str, Any]) -> list[str]:
        """What is wrong with one row's statements taken together."""
        faults = [
            f"missing {key!r}, expected it in the claim or in the case"
            for key in ("says", "unit", "protocol", "recorded", "expect")
            if stated.get(key) is None
        ]
        if stated.get("recorded") not in (None, Status.CONFIRMED) and not stated.get("cause"):
            faults.append(f"recorded: {stated['recorded']} without a cause, expected one sentence saying why")
        unit = stated.get("unit")
        if unit is not None and unit not in UNITS:
            faults.append(f"unknown unit {unit!r}, expected one of {', '.join(UNITS)}")
        probe = stated.get("probe")
        if probe is None:
            if stated.get("recorded") not in (None, Status.UNMEASURED):
                faults.append("no probe, expected one, or recorded: unmeasured")
            return faults
        if probe not in self.probes:
            return [*faults, f"unknown probe {probe!r}, expected one of {', '.join(sorted(self.probes))}"]
        return faults + _probe_faults(self.probes[probe], stated, unit)

    def check_neighbours(self) -> None:
        """`beside` must name a claim of the same document."""
        names = {claim.id.split("[")[0] for claim, _, _ in self.found.values()}
        for claim, file, line in self.found.values():
            if claim.beside and claim.beside not in names:
                self.fault(file, line, f"{claim.id}: beside an unknown claim {claim.beside.split('/')[1]!r}")

    def check_figures(self, documents: Mapping[str, Document]) -> None:
        """A figure shows claims of its own document."""
        names = {claim.id.split("[")[0] for claim, _, _ in self.found.values()}
        for figure in (one for document in documents.values() for one in document.figures):
            for claim in sorted(set(figure.claims) - names):
                self.fault(*self.figures[figure.name], f"{figure.name}: unknown claim {claim.split('/')[1]!r}")

    def check_causes(self) -> None:
        """A cause may name known claims only, in units of their dimension; each fault is told once for all cases."""
        seen = set()
        for claim, file, _ in self.found.values():
            for text in self.faults_of_quotes(claim.cause or "", claim.document):
                fault = file, self.causes[claim.id], f"{claim.id.split('[')[0]}: cause: {text}"
                if fault not in seen:
                    self.fault(*fault)
                seen.add(fault)

    def check_findings(self) -> None:
        """A finding rests on claims."""
        for (document, text), place in self.findings.items():
            faults = self.faults_of_quotes(text, document)
            if not faults and not list(cited(text)):
                faults = ["names no claim, expected one in braces, where its figure stands"]
            for fault in faults:
                self.fault(*place, f"findings: {fault}")

    def faults_of_quotes(self, text: str, document: str) -> list[str]:
        """What is wrong with the claims that a text names in braces."""
        try:
            named = list(cited(text))
        except ValueError as error:
            return [str(error)]
        faults = []
        for one in named:
            other = self.found.get(one.address(document))
            if other is None:
                faults.append(f"unknown claim {one.claim!r}")
            elif one.unit and one.unit not in UNITS:
                faults.append(f"unknown unit {one.unit!r} of {one.claim}, expected one of {', '.join(UNITS)}")
            elif one.unit and UNITS[one.unit].dimension != UNITS[other[0].unit].dimension:
                faults.append(f"wrong unit {one.unit!r} of {one.claim}, which is in {other[0].unit}")
        return faults


def _probe_faults(signature: Signature, stated: Mapping[str, Any], unit: str | None) -> list[str]:
    """What is wrong with the question that a row asks its probe."""
    faults = []
    quantity = str(stated.get("quantity"))
    if quantity not in signature.quantities:
        faults.append(f"unknown quantity {quantity!r}, expected one of {', '.join(signature.quantities)}")
    elif unit in UNITS and signature.quantities[quantity] not in ("*", UNITS[unit].dimension):
        dimension = signature.quantities[quantity]
        allowed = ", ".join(u.name for u in UNITS.values() if u.dimension == dimension)
        faults.append(f"wrong unit {unit!r} for {quantity}, expected one of {allowed}")
    if (key := signature.requires.get(quantity)) and not stated["given"].get(key):
        faults.append(f"given: missing key {key!r}, which {quantity} needs")
    try:
        signature.given.model_validate(stated["given"])
    except ValidationError as error:
        faults += [f"given: {told(e['type'], e['msg'], tuple(e['loc']), e.get('input'))}" for e in error.errors()]
    return faults


def told(kind: str, message: str, place: positions.Place, found: Any) -> str:
    """One of pydantic's faults in our words: its type and text, where it is, and what stands there."""
    where = ".".join(str(part) for part in place)
    match kind:
        case "extra_forbidden":
            return f"unknown key {str(place[-1])!r} in {where}, expected one that the schema lists"
        case "missing":
            return f"missing key {str(place[-1])!r} in {where}"
        case _:
            return f"{where}: {message.removeprefix('Value error, ')}, found {found!r}"
