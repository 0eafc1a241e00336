"""What a document states, as data: a sentence, a bound, a source and the probe that decides it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from muse.units import UNITS, half_step


class Status(StrEnum):
    """The four verdicts."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    UNMEASURED = "unmeasured"


class Scope(StrEnum):
    """What kind of evidence a measurement is."""

    EXACT = "exact"
    PREDICTED = "predicted"
    MEASURED = "measured"
    EMULATED = "emulated"


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise ValueError("expected a number")  # noqa: TRY004  # pydantic reports ValueError
    return value


Number = Annotated[Decimal, BeforeValidator(_number)]
"""A number as printed: 5.80 keeps its zero, because its last place says how it was rounded."""


class Data(BaseModel):
    """Frozen, with no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tolerance(Data):
    """How far a reproduction may lie from the printed number, and why."""

    relative: Number | None = Field(None, gt=0, description="A share of the printed number: 0.01 is 1 %.")
    absolute: Number | None = Field(None, gt=0, description="In the claim's unit.")
    because: str = Field(description="Why this much is fair.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Tolerance:
        if (self.relative is None) == (self.absolute is None):
            raise ValueError("a tolerance is either relative or absolute")
        return self


class Expect(Data):
    """The bound: exactly one of these, in the claim's unit."""

    equals: Number | None = Field(None, description="This number, up to the tolerance.")
    attainable: Number | None = Field(None, description="Arithmetic: some operands within their rounding give it.")
    at_most: Number | None = None
    below: Number | None = None
    at_least: Number | None = None
    above: Number | None = None
    between: tuple[Number, Number] | None = None

    KINDS: ClassVar[tuple[str, ...]] = ("equals", "attainable", "at_most", "below", "at_least", "above", "between")

    @property
    def kind(self) -> str:
        """The name of the bound that is set."""
        return next(kind for kind in self.KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Expect:
        stated = [kind for kind in self.KINDS if getattr(self, kind) is not None]
        if len(stated) != 1:
            raise ValueError(f"impossible bound: expected exactly one of {', '.join(self.KINDS)}")
        if self.between and self.between[0] > self.between[1]:
            raise ValueError(f"impossible bound: between {self.between[0]} and {self.between[1]} is empty")
        return self


class Claim(Data):
    """One decidable statement: a claim of the ledger, or one case of its table."""

    id: str
    """`document/name` or `document/name[case]`: the address in tests, records and reports."""
    document: str
    section: str
    """The heading under which the document states it, in English."""
    original: str | None = None
    """The same heading in the document's own words."""
    says: str
    quote: str | None = None
    """The document's own words, in its own language."""
    documented: Number | None = None
    unit: str
    probe: str | None = None
    """None where nothing can decide the sentence; such a claim is unmeasured and says why."""
    quantity: str | None = None
    given: dict[str, Any] = {}
    protocol: Literal["documented", "sound"]
    expect: Expect
    tolerance: Tolerance | None = None
    needs: tuple[str, ...] = ()
    recorded: Status
    cause: str | None = None
    beside: str | None = None
    """The claim whose sentence this one decides or reproduces; reports show the two in one row."""

    @property
    def name(self) -> str:
        """The claim's name within its document, without the case."""
        return self.id.split("/", 1)[1].split("[", 1)[0]

    @property
    def case(self) -> str | None:
        """The case's name, None for a claim without a table."""
        return self.id[:-1].split("[", 1)[1] if self.id.endswith("]") else None

    def bounds(self) -> tuple[Fraction | None, Fraction | None]:
        """The expected interval in the base of the unit; None where it is open-ended."""
        factor, expect = UNITS[self.unit].factor, self.expect
        if expect.between:
            return Fraction(expect.between[0]) * factor, Fraction(expect.between[1]) * factor
        number = Fraction(getattr(expect, expect.kind)) * factor
        match expect.kind:
            case "equals" | "attainable":
                slack = self._slack(getattr(expect, expect.kind))
                return number - slack * factor, number + slack * factor
            case "at_most" | "below":
                return None, number
            case _:
                return number, None

    def _slack(self, number: Decimal) -> Fraction:
        """Half a printed step; a reproduction may also miss by 1 %; a stated tolerance overrides both."""
        if self.tolerance and self.tolerance.absolute is not None:
            return Fraction(self.tolerance.absolute)
        if self.tolerance and self.tolerance.relative is not None:
            return Fraction(self.tolerance.relative) * abs(Fraction(number))
        if self.protocol == "documented" and self.expect.kind == "equals":
            return max(half_step(number), abs(Fraction(number)) / 100)
        return half_step(number)

    def fingerprint(self) -> str:
        """A hash of everything that decides the verdict; prose may change without staling evidence."""
        judged = self.model_dump(
            mode="json",
            include={"id", "documented", "unit", "probe", "quantity", "given", "protocol", "expect", "tolerance"},
        )
        return hashlib.sha256(json.dumps(judged, sort_keys=True).encode()).hexdigest()[:16]

    def question(self) -> str:
        """What its probe is asked, apart from whether it measures or predicts: claims with one question share evidence.

        The bound and the unit are no part of it: one figure may be held against several numbers.
        """
        asked = self.model_dump(mode="json", include={"document", "quantity", "given", "protocol"})
        return json.dumps([asked, (self.probe or self.id).removeprefix(PREDICTED)], sort_keys=True)


PREDICTED = "predicted_"
"""How the name of a probe begins that predicts what the probe without it measures."""

_CITED = re.compile(r"\{(?P<claim>(?:[\w.-]+/)?[\w.-]+(?:\[[^][{}]+\])?)(?::(?P<unit>\w+))?\}")


@dataclass(frozen=True)
class Cited:
    """A claim that a cause names in braces, `{peak[ultra]}` or `{paper/peak[ultra]:GiB}`, in place of its figure."""

    claim: str
    """As it is written: of the same document, unless it names another."""
    unit: str | None

    def address(self, document: str) -> str:
        """The claim's id, from within `document`."""
        return self.claim if "/" in self.claim else f"{document}/{self.claim}"


def cited(text: str) -> Iterator[Cited]:
    """Every claim that `text` names in braces. Raises ValueError at a brace that names none."""
    if stray := re.search(r"[{}]\S*", _CITED.sub("", text)):
        raise ValueError(f"stray {stray[0]!r}, expected {{claim}}, {{claim[case]}} or {{document/claim[case]:unit}}")
    yield from (Cited(match["claim"], match["unit"]) for match in _CITED.finditer(text))


def filled(text: str, figure: Callable[[Cited], str]) -> str:
    """`text` with every claim that it names replaced by its figure."""
    return _CITED.sub(lambda match: figure(Cited(match["claim"], match["unit"])), text)


@dataclass(frozen=True)
class Signature:
    """What a probe can be asked, known without importing it."""

    module: str
    """The module whose function `probe` measures."""
    quantities: Mapping[str, str]
    """What it can measure, each with the dimension of its unit; `*` takes any."""
    given: type[Data]
    """The keys that a claim may give it."""
    requires: Mapping[str, str] = field(default_factory=dict)
    """The quantities that need a key of `given`, such as the `against` to compare with."""
    needs: tuple[str, ...] = ()
    """What the machine must have: `gpu`, or nothing."""
    timed: bool = False
    """Whether it measures time, and so needs the GPU to itself and no sibling workers."""


Drawn = Literal["dots", "kinds", "scaling", "ladder", "floors", "misses"]
"""Documented beside measured; peaks by what they are held for; growth, with its slope; a way down; operators' times;
predicted beside measured."""


@dataclass(frozen=True)
class Figure:
    """A picture of a document's report."""

    name: str
    """The document, a hyphen and the figure's own name."""
    draw: Drawn
    claims: tuple[str, ...]
    """The addresses of the claims whose cases it shows."""
    title: str
    """In English."""


@dataclass(frozen=True)
class Document:
    """A document under test."""

    name: str
    title: str
    published: str
    hardware: str
    original: str | None = None
    """The title in the document's own words."""
    figures: tuple[Figure, ...] = ()
    findings: tuple[str, ...] = ()
    """What was found, in English, with claims in braces where their figures stand."""


@dataclass(frozen=True)
class Ledger:
    """Every claim of every document, in the order of their files."""

    documents: Mapping[str, Document]
    claims: tuple[Claim, ...] = field(default=())
