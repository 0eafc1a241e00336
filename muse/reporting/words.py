"""What a report says in one language: messages by key, and the ledger's English sentences translated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from muse.errors import MuseError, UsageError

FOLDER = Path(__file__).parents[2] / "reports" / "templates" / "messages"
"""The messages that the project ships."""

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
        """An English sentence of the ledger in this language. Raises MuseError where there is no translation."""
        self.require([sentence])
        return self._said(sentence) or sentence

    def require(self, sentences: Iterable[str]) -> None:
        """Raise MuseError, in one line, unless every one of the ledger's `sentences` can be said."""
        if missing := [one for one in dict.fromkeys(sentences) if self._said(one) is None]:
            file = self.file.with_stem(self.lang + SENTENCES)
            raise MuseError(f"{file}: {len(missing)} sentences are not translated, the first is {missing[0]!r}")

    def _said(self, sentence: str) -> str | None:
        if self.lang == ENGLISH or sentence in self.sentences:
            return self.sentences.get(sentence, sentence)
        for suffix, ending in self.suffixes.items():
            base = self.sentences.get(sentence.removesuffix(suffix) + ".")
            if sentence.endswith(suffix) and base:
                return base.removesuffix("。") + ending
        return None


def language_of(text: str | None) -> str:
    """The language of a document's own words where their script tells: kana or kanji; no document is Chinese."""
    return "ja" if re.search("[\u3041-\u30ff\u4e00-\u9fff]", text or "") else ""


def languages(folder: Path = FOLDER) -> dict[str, str]:
    """Each language that has messages, with its name in itself."""
    files = sorted(file for file in folder.glob("*.yaml") if not file.stem.endswith(SENTENCES))
    return {file.stem: str(_read(file).get("language", file.stem)) for file in files}


def load(lang: str = ENGLISH, folder: Path = FOLDER) -> Words:
    """The words of `lang`.

    Raises UsageError for a language without messages, and MuseError for a file that is not YAML.
    """
    allowed = languages(folder)
    if lang not in allowed:
        raise UsageError(f"unknown language {lang!r}, expected one of {', '.join(allowed)}")
    file = folder / f"{lang}.yaml"
    known = {} if lang == ENGLISH else _read(file.with_stem(lang + SENTENCES))
    return Words(lang, file, _flat(_read(file)), known.get("sentences") or {}, known.get("suffixes") or {})


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
