"""Every kernel compiles for an H100, fits its shared memory and keeps its numbers in registers: no GPU is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from kernels import dispatch
from muse.probes.given import Operator

pytestmark = [
    pytest.mark.compiles,
    pytest.mark.skipif(not dispatch.TRITON, reason="no Triton is installed, whose assembler this asks"),
]

SHARED = 232448
"""Bytes of shared memory that a program of an H100 may have."""
SPILLED = {"_differentiate": 264, "finish": 32, "look_up_backward": 32, "scale": 32}
"""Bytes that a thread keeps in memory: the first outside its loop, the others in the slow path of a cosine."""


@pytest.mark.parametrize("name", get_args(Operator))
def test_every_kernel_of_an_operator_compiles_for_an_h100(name, root):
    """With the assembler that comes with Triton."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    program = Path(__file__).with_name("hopper.py")
    done = subprocess.run(
        [sys.executable, program, name], cwd=root, env=environment | {"PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kernels = [json.loads(line) for line in done.stdout.splitlines()]
    assert kernels
    assert [one for one in kernels if one["shared"] > SHARED] == []
    assert [one for one in kernels if one["spilled"] > SPILLED.get(one["kernel"], 0)] == []
