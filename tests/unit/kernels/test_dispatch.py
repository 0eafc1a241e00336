"""Which implementation runs is decided in one place, and can be asked."""

import subprocess
import sys

import torch

import kernels
from kernels import dispatch, implementation

WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None
import torch
from kernels import {name}, implementation, linear_scan
print(implementation(torch.ones(2)), linear_scan(None, torch.ones(3)).tolist())
"""


def test_a_kernel_runs_where_the_interpreter_is_on():
    """As in all tests of this folder."""
    assert implementation(torch.ones(2)) == "triton"


def test_the_definition_runs_where_triton_is_not_installed(monkeypatch):
    """Nothing falls back silently: it is asked here."""
    monkeypatch.setattr(dispatch, "TRITON", False)
    assert implementation(torch.ones(2)) == "reference"


def test_the_definition_runs_on_the_cpu(monkeypatch):
    """The interpreter is for tests."""
    monkeypatch.setattr(dispatch, "INTERPRETED", False)
    assert implementation(torch.ones(2)) == "reference"


def test_the_definition_runs_in_double_precision():
    """The kernels add up in float32."""
    assert implementation(torch.ones(2, dtype=torch.float64)) == "reference"
    assert implementation(torch.ones(2, dtype=torch.complex128)) == "reference"


def test_every_operator_imports_and_runs_without_triton(root, monkeypatch):
    """In a fresh process, where importing Triton fails."""
    monkeypatch.delenv("TRITON_INTERPRET")
    public = [name for name, x in vars(kernels).items() if callable(x) and not name.startswith("_")]
    code = WITHOUT_TRITON.format(name=", ".join(public))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "reference [1.0, 2.0, 3.0]\n"


def test_an_operators_name_is_its_function_not_its_folder():
    """A submodule that is imported after the function would replace it in the package."""
    import kernels.linear_scan.kernel

    assert not isinstance(kernels.linear_scan, type(sys))
