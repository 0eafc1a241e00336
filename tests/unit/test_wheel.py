"""The wheel alone is enough: a new project in a fresh environment, without this checkout."""

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

FILES = ("pyproject.toml", "README.md", "LICENSE")
REGISTERED = """
def pytest_muse_register(subjects):
    subjects.network("wide", "nets.wide:build", vocabulary=8)
"""
WIDE = """
from torch import nn

from nets.sizes import WIDTH


def build():
    return nn.Sequential(nn.Embedding(8, WIDTH), nn.Linear(WIDTH, 8))
"""
CLAIM = """section: Size
claims:
  total: {says: "It has 136 parameters.", documented: 136, unit: count, probe: parameters, quantity: total,
    protocol: sound, given: {model: wide}, recorded: confirmed}
  peak: {says: "A forward pass of 16 tokens needs less than 1 MiB.", unit: MiB, probe: predicted_memory, quantity: peak,
    protocol: sound, given: {model: wide, tokens: 16, card: h100}, expect: {at_most: 9}, recorded: confirmed}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory, root):
    """An environment that has MUSE from its wheel, and else what this one has."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(root / "muse", source / "muse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(root / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    ask(folder, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
    venv.create(folder / "env", with_pip=False)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder / "env"), "platbase": str(folder / "env")})
    [wheel] = folder.glob("*.whl")
    # Of these folders no .pth file is read, so that an editable installation of this checkout stays out.
    (Path(packages) / "others.pth").write_text("\n".join(site.getsitepackages()))
    bin_ = folder / "env/bin"
    ask(folder, *pip, "--python", str(bin_ / "python"), "install", "--no-deps", "--ignore-installed", str(wheel))
    return bin_


def ask(folder, *command, code=0):
    """What a program printed; it must end as it ought to, and sees nothing of this checkout."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("MUSE_", "PYTEST_", "PYTHON"))}
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_new_project_has_a_verdict_of_each_kind_and_a_page(bare, tmp_path):
    """As a newcomer does it: `muse init`, the tests, the report."""
    home = Path(ask(tmp_path, bare / "python", "-c", "import muse; print(muse.__file__)").strip())
    assert home.is_relative_to(bare.parent)
    ask(tmp_path, bare / "muse", "init", "demo")
    demo = tmp_path / "demo"
    assert "example: 1 confirmed, 1 refuted, 0 inconclusive" in ask(
        demo, bare / "python", "-m", "pytest", "tests/claims"
    )
    [page] = [line for line in ask(demo, bare / "muse", "report").splitlines() if line.endswith("en/report.html")]
    assert "Its weights take 32 KiB in half precision." in Path(page).read_text()
    ask(demo, bare / "muse", "promote", "latest")
    assert "reports/en/report.html" in ask(demo, bare / "muse", "report")


def test_a_project_registers_by_a_hook_and_its_own_sources_make_evidence_stale(bare, tmp_path):
    """Also what its network imports from the same package."""
    ask(tmp_path, bare / "muse", "init", ".")
    claims = tmp_path / "tests/claims"
    shutil.rmtree(claims / "example")
    (claims / "paper").mkdir()
    (claims / "paper/document.yaml").write_text("title: A paper\npublished: now\nhardware: none\n")
    (claims / "paper/1.yaml").write_text(CLAIM)
    (tmp_path / "pyproject.toml").write_text("[tool.muse]\n")
    (tmp_path / "conftest.py").write_text(REGISTERED)
    (tmp_path / "nets").mkdir()
    for name, text in (("__init__", ""), ("sizes", "WIDTH = 8\n"), ("wide", WIDE)):
        (tmp_path / f"nets/{name}.py").write_text(text)
    run = (bare / "python", "-m", "pytest", "tests/claims", "-q")
    assert "paper: 2 confirmed" in ask(tmp_path, *run)
    assert "replayed: 2 of 2" in ask(tmp_path, *run)
    (tmp_path / "nets/sizes.py").write_text("WIDTH = 4 * 2\n")
    assert "replayed" not in ask(tmp_path, *run)


def test_listing_a_project_imports_none_of_its_networks(bare, tmp_path):
    """Nor torch."""
    ask(tmp_path, bare / "muse", "init", ".")
    (tmp_path / "model.py").write_text("raise SystemExit('imported')\n")
    assert [claim["id"] for claim in json.loads(ask(tmp_path, bare / "muse", "list", "--json"))] == [
        "example/parameters",
        "example/weights",
    ]


def test_our_own_networks_are_there_but_for_those_that_need_our_operators(bare, tmp_path):
    """Which are this repository's, and no part of the package."""
    ask(tmp_path, bare / "muse", "init", ".")
    assert "total" in ask(tmp_path, bare / "muse", "predict", "baseline_small", "--card", "h100")
    told = ask(tmp_path, bare / "muse", "predict", "phase8_standard", "--card", "h100", code=2)
    assert told == "muse: phase8_standard: muse.models.phase8 needs the module 'kernels', which is not here\n"
