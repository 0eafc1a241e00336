"""Where a record comes from, and whether its subject has changed since."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from muse import machine
from muse.config import Settings

PACKAGES = ("torch", "triton", "numpy", "scipy", "pytest", "pytest-benchmark")
ENVIRONMENT = (
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_MODULE_LOADING",
)
"""The variables that can move a measurement; no other is ever recorded."""

MEASURING = ("muse.probes.", "muse.memory", "muse.nn", "muse.models.", "kernels")
"""Where the code that can move a measurement lives; a change anywhere else, such as a new preset
or probe in their tables, leaves evidence fresh."""


@cache
def provenance(settings: Settings) -> dict[str, Any]:
    """Commit, versions, GPU and environment of this process."""
    gpu = machine.gpus()[0] if machine.gpus() else None
    commit, dirty = _commit(settings)
    return {
        "commit": commit,
        "dirty": dirty,
        "machine": machine.slug(),
        "gpu": gpu and {"name": gpu.name, "total_bytes": gpu.total_bytes, "driver": gpu.driver},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(settings: Settings) -> tuple[str | None, bool | None]:
    """The commit and whether the tree differs from it; None where git does not say."""

    def git(*command: str) -> str:
        words = ["git", "-C", str(settings.root), *command]
        done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (subprocess.CalledProcessError, FileNotFoundError):
        return settings.commit or None, None


def source_fingerprint(modules: tuple[str, ...], own: frozenset[str] = frozenset()) -> str:
    """A hash of the source of `modules` and of all measuring code that they import, found without importing.

    Beside ours, the packages `own` of a project measure. Blank and comment-only lines do not count.
    """
    files: dict[str, str] = {}
    for module in modules:
        _collect(module, files, own)
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _collect(module: str, files: dict[str, str], own: frozenset[str] = frozenset()) -> None:
    path = _path(module, own)
    if path is None or module in files:
        return
    files[module], imports = _read(path)
    for name in imports:
        _collect(name, files, own)


def _path(module: str, own: frozenset[str]) -> Path | None:
    """The source file of a module whose code can move a measurement; None for any other."""
    package, *rest = module.split(".")
    if not module.startswith(MEASURING) and package not in own:
        return None
    spec = find_spec(package)
    if spec is None:
        return None
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.origin and not rest else None
    base = Path(spec.submodule_search_locations[0], *rest)
    return next((f for f in (base / "__init__.py", base.with_suffix(".py")) if f.is_file()), None)


@cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """The hash of a source file and the modules that it names in imports."""
    text = path.read_text(encoding="utf-8")
    imports: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    code = [line.rstrip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return hashlib.sha256("\n".join(code).encode()).hexdigest(), tuple(imports)
