"""The house keeps its shape: who may import whom, what loads without torch, how long a file may be."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kernels
import muse
from muse.claims.entries import json_schema
from muse.probes import PROBES

ROOT = Path(muse.__file__).parents[1]
MODULES = sorted(path for package in ("muse", "kernels") for path in (ROOT / package).rglob("*.py"))
LIGHT = [
    "muse.claims.claim",
    "muse.claims.ledger",
    "muse.claims.verdict",
    "muse.store.files",
    "muse.store.provenance",
    "muse.reporting.view",
    "muse.reporting.render",
    "muse.coverage.match",
    "muse.coverage.page",
    "muse.config",
    "muse.machine",
    "muse.units",
    "muse.errors",
    "muse.models",
    "muse.probes",
    "muse.verify",
    "muse.cli",
    "muse.pytest_plugin",
]
PROGRAM = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
    if heavy := {"torch", "triton", "kernels"} & set(sys.modules):
        sys.exit(f"{name} loads {sorted(heavy)}")
"""


def name(path: Path) -> str:
    """Return a module's path under the root, as a test's id."""
    return str(path.relative_to(ROOT))


def test_the_import_contracts_hold():
    """Rooms import downwards, kernels know no muse, and only kernel files know triton."""
    program = shutil.which("lint-imports") or str(Path(sys.executable).with_name("lint-imports"))
    if importlib.util.find_spec("importlinter") is None or not Path(program).exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_claims_records_and_reports_load_without_torch():
    """So does everything up to the program and the plugin: torch comes with the first measurement."""
    command = [sys.executable, "-c", PROGRAM, *LIGHT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_kernels_is_ours():
    """Hugging Face has a package of this name; ours lies in this repository and has no version."""
    assert Path(kernels.__file__).parent == ROOT / "kernels"
    assert not hasattr(kernels, "__version__")


def test_the_committed_schema_is_the_program_s():
    """Editors complete what the ledger accepts: `make schema` after a change of a probe or a unit."""
    assert json.loads((ROOT / "tests/claims/schema.json").read_text()) == json_schema(PROBES)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is_for(path):
    """In a docstring that is a sentence."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].rstrip("`")[-1] in ".?:"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_file_can_be_read_in_one_sitting(path):
    """At most 300 lines, a model 330; the functions of a Triton kernel stay together, which is at most 530."""
    most = 530 if path.name == "kernel.py" else 330 if path.parent.name == "models" else 300
    assert len(path.read_text().splitlines()) <= most


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=name)
def test_a_file_of_tests_can_be_read_in_one_sitting(path):
    """At most 400 lines."""
    assert len(path.read_text().splitlines()) <= 400
