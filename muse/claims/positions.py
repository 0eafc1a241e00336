"""YAML as plain data in which every value knows its line, and every number keeps its printed digits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


@dataclass
class Page:
    """One file's data, the line of each of its values, and the faults of its YAML."""

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of `place`, or of the nearest thing around it that is in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(path: Path) -> Page:
    """Read one YAML file. Faults are collected, never raised."""
    page = Page()
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        page.faults.append((mark.line + 1 if mark else 1, f"bad YAML: {error.problem}"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        page.faults.append((1, f"bad YAML: {error}"))
    else:
        page.data = None if node is None else _value(node, (), page, ())
    return page


def _value(node: yaml.Node, place: Place, page: Page, around: tuple[yaml.Node, ...]) -> Any:
    """The plain value of `node`, noting the line of everything in it."""
    page.lines[place] = node.start_mark.line + 1
    if node in around:
        page.faults.append((node.start_mark.line + 1, "bad YAML: an alias contains itself"))
        return None
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, page)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*place, i), page, (*around, node)) for i, child in enumerate(node.value)]
    data: dict[str, Any] = {}
    for key_node, child in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in data:
            page.faults.append((line, f"duplicate key {key!r}, expected each name once"))
        data[key] = _value(child, (*place, key), page, (*around, node))
        page.lines[(*place, key)] = line
    return data


def _scalar(node: yaml.ScalarNode, page: Page) -> Any:
    """Text, a whole number, a Decimal with the digits as written, true, false or null."""
    text = node.value.replace("_", "")
    match node.tag.rsplit(":", 1)[-1]:
        case "null":
            return None
        case "bool":
            return node.value.lower() in ("true", "yes", "on")
        case "int" if text.lstrip("+-").isdigit():
            return int(text)
        case "float" if _DECIMAL.fullmatch(text):
            return Decimal(text)
        case "int" | "float":
            page.faults.append((node.start_mark.line + 1, f"bad number {node.value!r}, expected decimal digits"))
            return None
        case _:
            return node.value
