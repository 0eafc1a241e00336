"""`numbers.yaml`: which claim each number of a document belongs to, or why it is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from muse.claims import positions
from muse.claims.claim import Claim, Data, Ledger
from muse.claims.ledger import told
from muse.coverage.numbers import fits, numbers
from muse.errors import LedgerError, UsageError

FILE = "numbers.yaml"
_DECLARED = "declared:"


class NumbersFile(Data):
    """The file as it is written."""

    source: str = Field(description="The document's file name.")
    declared: dict[str, list[str]] = Field({}, description="Texts with numbers that are no claims, by reason.")
    sections: dict[str, list[dict[str, str]]] = Field({}, description="Numbers in their order, by heading.")


@dataclass(frozen=True)
class Binding:
    """One number of a section: bound to a claim, or declared to be none for a reason."""

    printed: str
    claim: Claim | None
    reason: str | None
    line: int


@dataclass(frozen=True)
class Literal:
    """A text whose numbers are no claims wherever it stands."""

    text: str
    reason: str
    line: int


@dataclass(frozen=True)
class Bindings:
    """Everything that `numbers.yaml` says about one document."""

    document: str
    file: Path
    literals: tuple[Literal, ...]
    sections: Mapping[str, tuple[Binding, ...]]


def find(folder: Path, source: str, document: str | None = None) -> Path:
    """The `numbers.yaml` of the document called `document`, else of the one whose source is the file `source`.

    Raises UsageError, with what is known, when there is not exactly one.
    """
    files = sorted(folder.glob(f"*/{FILE}"))
    if document is not None:
        if folder / document / FILE not in files:
            raise UsageError(f"unknown document {document!r}; known are {_listed([f.parent.name for f in files])}")
        return folder / document / FILE
    sources = {file: _source(file) for file in files}
    found = [file for file in files if sources[file] == source]
    if len(found) > 1:
        raise UsageError(f"{source} may be {_listed([f.parent.name for f in found])}; name one with --as")
    if not found:
        known = _listed([f"{name} ({file.parent.name})" for file, name in sources.items()])
        raise UsageError(f"{source}: unknown document; known are {known}; name one with --as")
    return found[0]


def _source(file: Path) -> str | None:
    data = positions.read(file).data
    return data.get("source") if isinstance(data, dict) else None


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none yet"


def load(file: Path, ledger: Ledger) -> Bindings:
    """The bindings of one file. Raises LedgerError with all its faults: those of form, unknown claims, wrong claims."""
    page = positions.read(file)
    faults = list(page.faults)
    if not faults:
        try:
            written = NumbersFile.model_validate(page.data)
        except ValidationError as error:
            for one in error.errors():
                place = tuple(one["loc"])
                faults.append((page.line(place), told(one["type"], one["msg"], place, one.get("input"))))
    if not faults:
        literals, sections = (
            _literals(written, page, faults),
            _sections(written, page, faults, ledger, file.parent.name),
        )
    if faults:
        raise LedgerError([f"{file}:{line}: {text}" for line, text in sorted(faults)])
    return Bindings(file.parent.name, file, literals, sections)


_Faults = list[tuple[int, str]]


def _literals(written: NumbersFile, page: positions.Page, faults: _Faults) -> tuple[Literal, ...]:
    found = []
    for reason, texts in written.declared.items():
        for i, text in enumerate(texts):
            line = page.line(("declared", reason, i))
            inside = list(numbers(text))
            if not inside:
                faults.append((line, f"declared: {text!r} has no number"))
            elif inside[0].printed == text and inside[0].value is not None:
                faults.append(
                    (line, f"declared: {text!r} is a bare number; add the words around it, or list it in its section")
                )
            found.append(Literal(text, reason, line))
    return tuple(found)


def _sections(
    written: NumbersFile, page: positions.Page, faults: _Faults, ledger: Ledger, document: str
) -> dict[str, tuple[Binding, ...]]:
    claims = {claim.id: claim for claim in ledger.claims}
    sections = {}
    for heading, entries in written.sections.items():
        found = []
        for i, entry in enumerate(entries):
            for printed, target in entry.items():
                line = page.line(("sections", heading, i, printed))
                binding = _binding(printed, target, line, claims, document)
                faults += [(line, text) for text in _faults_of(binding, target)]
                found.append(binding)
        sections[heading] = tuple(found)
    return sections


def _binding(printed: str, target: str, line: int, claims: Mapping[str, Claim], document: str) -> Binding:
    """What one line of a section says; an address without a document is one of this document."""
    if target.startswith(_DECLARED):
        return Binding(printed, None, target.removeprefix(_DECLARED).strip(), line)
    return Binding(printed, claims.get(target if "/" in target else f"{document}/{target}"), None, line)


def _faults_of(binding: Binding, target: str) -> list[str]:
    inside = list(numbers(binding.printed))
    if len(inside) != 1 or inside[0].printed != binding.printed:
        return [f"{binding.printed!r} is not one number as printed, such as '5.74 GB'"]
    if binding.reason is not None:
        return [] if binding.reason else [f"{binding.printed}: declared without a reason"]
    claim = binding.claim
    if claim is None:
        return [f"{binding.printed}: unknown claim {target!r}"]
    if not fits(inside[0], claim):
        documents = "" if claim.documented is None else f", which documents {claim.documented} {claim.unit}"
        return [f"{binding.printed} is no number of {claim.id}{documents}"]
    return []
