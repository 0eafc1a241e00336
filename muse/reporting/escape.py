"""Text made safe for TeX and for Markdown tables, without anybody having to ask for it."""

# ruff: noqa: RUF001  a table of characters that look alike is the point
from __future__ import annotations

import re
import unicodedata
from typing import Any

from muse.errors import MuseError


class Safe(str):
    """Text that is in its skin's language already."""

    __slots__ = ()


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\`{}",
    "\n": " ",
    "\t": " ",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
}
_TEXT = {
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "‑": "-",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "œ": r"\oe{}",
    "ł": r"\l{}",
    "§": r"\S{}",
    "°": r"$^\circ$",
    "½": r"$\frac12$",
    "¼": r"$\frac14$",
    "−": "$-$",
    "○": r"$\circ$",
    "●": r"$\bullet$",
    "⁻": r"\textsuperscript{$-$}",
}
PICTOGRAPHS, VARIANT = "\U0001f000", "\ufe0f"
"""From here on pictures, which decorate a heading and are left out in TeX; and the mark that asks for a picture."""
_NAMES = """
    × times, · cdot, ⋅ cdot, ÷ div, ± pm, ≤ le, ≥ ge, ≠ ne, ≈ approx, ≡ equiv, ∼ sim, ≪ ll, ≫ gg, ∝ propto, ∞ infty,
    → to, ← leftarrow, ↔ leftrightarrow, ⇒ Rightarrow, ↦ mapsto, √ surd, ∈ in, ∉ notin, ∑ sum, ∏ prod, ∫ int, ∂ partial,
    ∇ nabla, ⊕ oplus, ⊗ otimes, ⊙ odot, ‖ |, ∥ |, ⌈ lceil, ⌉ rceil, ⌊ lfloor, ⌋ rfloor, ⟨ langle, ⟩ rangle,
    Γ Gamma, Δ Delta, ∆ Delta, Θ Theta, Λ Lambda, Ξ Xi, Π Pi, Σ Sigma, Φ Phi, Ψ Psi, Ω Omega,
    α alpha, β beta, γ gamma, δ delta, ε epsilon, ζ zeta, η eta, θ theta, κ kappa, λ lambda, μ mu, µ mu, ν nu, ξ xi,
    π pi, ρ rho, σ sigma, τ tau, φ phi, χ chi, ψ psi, ω omega
"""
_MATHS = {mark: rf"$\{name}$" for mark, name in (pair.split() for pair in _NAMES.split(","))}
_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0308\u0304\u0306\u030a\u0327\u030c\u030b", "`'^~\"=urcvH", strict=True))
_RAISED = {mark: rf"\textsuperscript{{{digit}}}" for mark, digit in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺ⁿ", "0123456789+n", strict=True)}
_LOWERED = {mark: rf"\textsubscript{{{digit}}}" for mark, digit in zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)}
_TABLE = {**_SPECIAL, **_TEXT, **_MATHS, **_RAISED, **_LOWERED}


def tex(value: Any) -> str:
    """`value` as TeX text. Raises MuseError, naming the character, where one has no TeX form here."""
    if isinstance(value, Safe):
        return value
    text = str(value)
    return re.sub("-(?=-)", "-{}", "".join(_tex_character(character, text) for character in text))


def _tex_character(character: str, text: str) -> str:
    if character in _TABLE:
        return _TABLE[character]
    if " " <= character <= "~":
        return character
    if character >= PICTOGRAPHS or character == VARIANT:
        return ""
    letter, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in _ACCENTS and letter.isascii():
        return rf"\{_ACCENTS[marks[0]]}{{{letter}}}"
    name = unicodedata.name(character, "unnamed")
    raise MuseError(f"no TeX form for {character!r} (U+{ord(character):04X} {name}) in {text[:60]!r}")


def tex_breakable(value: Any) -> Safe:
    """An identifier in TeX that may be broken after its punctuation."""
    return Safe(re.sub(r"(/|\\_|-|\.|\]|:)(?=.)", r"\1\\allowbreak{}", tex(value)))


def markdown(value: Any) -> str:
    """`value` as Markdown text that stays within its table cell and means nothing to Markdown."""
    if isinstance(value, Safe):
        return value
    text = re.sub(r"\s+", " ", str(value))
    text = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_code(value: Any) -> Safe:
    """`value` as a code span that stays within its table cell."""
    text = re.sub(r"\s+", " ", str(value)).replace("|", r"\|")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return Safe(f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}")
