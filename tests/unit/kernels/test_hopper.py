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
SPILLED = {
    "hyperbolic_attention": {"forward": 736, "backward_q": 640, "backward_kv": 688},  # nearly all in the careful loops
    "linear_attention": {"attend": 152, "to_queries": 64, "to_keys_and_values": 168},  # at width 128
    "low_rank_ffn": {"_through": 24},  # by Triton 3.7
    "tensor_train": {"finish": 32},  # the slow path of a cosine
}
"""Bytes of its numbers that a thread may keep in memory."""


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
    allowed = SPILLED.get(name, {})
    assert kernels
    assert [one for one in kernels if one["shared"] > SHARED] == []
    assert [one for one in kernels if one["spilled"] > allowed.get(one["kernel"], 0)] == []
