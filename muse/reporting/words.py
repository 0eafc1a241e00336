"""What a report says in one language: messages by key, and the ledger's English sentences translated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from muse.claims.claim import Ledger
from muse.errors import MuseError, UsageError

SHIPPED = Path(__file__).parent / "templates"
"""The templates that come with MUSE. A project's own, in folders of the same names, come before them."""

Templates = Sequence[Path]
"""Folders of templates: what the first has is taken from there."""


def searched(reports: Path) -> tuple[Path, ...]:
    """The templates of a project that keeps its reports there: its own, then those that come with MUSE."""
    return reports / "templates", SHIPPED


ENGLISH = "en"
"""The ledger's own language; every other needs a file of sentences."""

SENTENCES = "_sentences"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Words:
    """One language."""

    lang: str
    file: Path
    messages: Mapping[str, Any] = field(repr=False)
    """Text by dotted key; a list where order matters."""
    sentences: Mapping[str, str] = field(default_factory=dict, repr=False)
    suffixes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Endings that many sentences share, each replacing the full stop."""

    def text(self, key: str, **facts: Any) -> str:
        """The message `key` with `facts` in its places. Raises MuseError where either is missing."""
        try:
            return str(self.messages[key]).format(**facts)
        except KeyError as error:
            lacking = f"no message {key!r}" if key not in self.messages else f"{key!r} names an unknown {error}"
            raise MuseError(f"{self.file}: {lacking}") from None

    def reason(self, code: str) -> str:
        """A reason code in words; one from an older record stands as it is."""
        return self.text(f"reasons.{code}") if f"reasons.{code}" in self.messages else code.replace("_", " ")

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A list of pairs, in its order."""
        if key not in self.messages:
            raise MuseError(f"{self.file}: no message {key!r}")
        return tuple((str(first), str(second)) for first, second in self.messages[key])

    def say(self, sentence: str) -> str:
        """An English sentence of the ledger in this language; as it is, with a note, where nobody has translated it."""
        said = self._said(sentence)
        return f"{sentence} {self.text('untranslated')}" if said is None else said

    def untranslated(self, sentences: Iterable[str]) -> list[str]:
        """Those of the ledger's `sentences` that stand in English, each once."""
        return [one for one in dict.fromkeys(sentences) if self._said(one) is None]

    def _said(self, sentence: str) -> str | None:
        if self.lang == ENGLISH or sentence in self.sentences:
            return self.sentences.get(sentence, sentence)
        for suffix, ending in self.suffixes.items():
            base = self.sentences.get(sentence.removesuffix(suffix) + ".")
            if sentence.endswith(suffix) and base:
                return base.removesuffix("。") + ending
        return None


def sentences(ledger: Ledger) -> list[str]:
    """The English sentences that a report says in its language."""
    found = [s for one in ledger.documents.values() for s in (*(f.title for f in one.figures), *one.findings)]
    for claim in ledger.claims:
        because = claim.tolerance and claim.tolerance.because
        found += [s for s in (claim.says, claim.cause, because, None if claim.original else claim.section) if s]
    return found


def language_of(text: str | None) -> str:
    """The language of a document's own words where their script tells: kana or kanji; no document is Chinese."""
    return "ja" if re.search("[\u3041-\u30ff\u4e00-\u9fff]", text or "") else ""


def languages(templates: Templates = (SHIPPED,)) -> dict[str, str]:
    """Each language that has messages, with its name in itself."""
    names = {file.stem for folder in templates for file in (folder / "messages").glob("*.yaml")}
    return {
        lang: str(_messages(lang, templates).get("language", lang))
        for lang in sorted(names)
        if not lang.endswith(SENTENCES)
    }


def spoken(templates: Templates = (SHIPPED,)) -> dict[str, str]:
    """English, and the languages into which sentences are translated."""
    every = languages(templates)
    return {lang: name for lang, name in every.items() if lang == ENGLISH or _files(lang + SENTENCES, templates)}


def load(lang: str = ENGLISH, templates: Templates = (SHIPPED,)) -> Words:
    """The words of `lang`.

    Raises UsageError for a language without messages, and MuseError for a file that is not YAML.
    """
    allowed = languages(templates)
    if lang not in allowed:
        raise UsageError(f"unknown language {lang!r}, expected one of {', '.join(allowed)}")
    sentences: dict[str, str] = {}
    suffixes: dict[str, str] = {}
    for file in reversed(_files(lang + SENTENCES, templates)):
        known = _read(file)
        sentences |= known.get("sentences") or {}
        suffixes |= known.get("suffixes") or {}
    return Words(lang, _files(lang, templates)[0], _messages(lang, templates), sentences, suffixes)


def _files(name: str, templates: Templates) -> list[Path]:
    """The files of messages with that name, as the folders come."""
    files = (folder / "messages" / f"{name}.yaml" for folder in templates)
    return [file for file in files if file.exists()]


def _messages(lang: str, templates: Templates) -> dict[str, Any]:
    """Text by dotted key, of all folders together."""
    found: dict[str, Any] = {}
    for file in reversed(_files(lang, templates)):
        found |= _flat(_read(file))
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a safe loader
    except (OSError, yaml.YAMLError) as error:
        raise MuseError(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise MuseError(f"{file}: expected messages by key")
    return data


def _flat(data: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{start}{key}.") if isinstance(value, Mapping) else {f"{start}{key}": value}
    return flat
