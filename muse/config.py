"""How this machine runs MUSE: the only reader of `[tool.muse]` and of `MUSE_*`.

What is claimed lives in YAML, what a model is lives in its file; neither belongs here.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from muse.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """Where things are and how measurements run on this machine."""

    root: Path
    """The project folder; the other paths are relative to it."""
    claims: Path = Path("tests/claims")
    """The ledger: one folder per document."""
    results: Path = Path("reports/results")
    """Committed evidence: one folder per machine."""
    reports: Path = Path("reports")
    """Committed reports, rendered from committed evidence."""
    runs: Path = Path(".muse/runs")
    """This machine's own runs, ignored by git."""
    cublas_workspace: str = ":4096:2:16:8"
    """CUBLAS_WORKSPACE_CONFIG of every measured process: 8.125 MiB per thread on every card."""
    timeout: float = 300.0
    """Seconds after which a measuring process is killed."""
    subjects: str = ""
    """The module whose `register(subjects)` names the project's own networks."""
    commit: str = ""
    """The commit to record where there is no .git folder, as in a container."""

    @property
    def environment(self) -> dict[str, str]:
        """What a measured process adds to its environment, before CUDA starts."""
        return {
            "CUBLAS_WORKSPACE_CONFIG": self.cublas_workspace,
            "TORCH_CUBLASLT_UNIFIED_WORKSPACE": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "TRITON_CACHE_AUTOTUNING": "1",
        }

    def path(self, name: str) -> Path:
        """The absolute path of one of the folders above."""
        folder: Path = getattr(self, name)
        return folder if folder.is_absolute() else self.root / folder


def load_settings(start: Path | None = None, **flags: Any) -> Settings:
    """Settings from defaults, then `[tool.muse]`, then `MUSE_*`, then flags.

    Raises UsageError when a key is unknown or a value has the wrong type.
    """
    root = _project_root(start or Path.cwd())
    file = root / "pyproject.toml"
    table = tomllib.loads(file.read_text()).get("tool", {}).get("muse", {}) if file.exists() else {}
    known = {f.name: f for f in fields(Settings) if f.name != "root"}
    if unknown := sorted(set(table) - set(known)):
        raise UsageError(f"{file}: [tool.muse] has no key {unknown[0]!r}; allowed are {', '.join(known)}")
    values: dict[str, Any] = dict(table)
    for name in known:
        if (text := os.environ.get(f"MUSE_{name.upper()}")) is not None:
            values[name] = text
    values.update({name: value for name, value in flags.items() if value is not None})
    return replace(Settings(root), **{name: _typed(name, value) for name, value in values.items()})


def _typed(name: str, value: Any) -> Any:
    """`value` as the type of the setting's default."""
    kind = Path if isinstance(getattr(Settings, name), Path) else type(getattr(Settings, name))
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise UsageError(f"setting {name} must be a {kind.__name__}, not {value!r}") from None


def _project_root(start: Path) -> Path:
    """The nearest folder upwards that holds a pyproject.toml with `[tool.muse]`; else `start`."""
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.exists() and "[tool.muse]" in file.read_text():
            return folder
    return start
