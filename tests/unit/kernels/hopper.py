"""Compile what an operator launches, forward and backward, for an H100 that is not there.

Prints a line of JSON for each kernel: its registers, what it spills of them, and its shared memory, in bytes.
It is a program, for Triton decides when it is loaded whether it interprets. What kernels would have written is left as
it is; the plain products between them run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from kernels import dispatch
from muse.probes.given import HOMES
from muse.probes.operators import operator

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
SIZES: dict[str, tuple[tuple[Any, ...], ...]] = {
    "bk_core": ((2, 16384), (3, 700)),
    "hyperbolic_attention": ((1, 1, 256, 64), (1, 1, 256, 128)),
    "hyperbolic_scan": ((4, 64, 64), (1024, 4, 64)),
    "linear_attention": ((1, 1024, 2, 64), (1, 1024, 2, 128)),
    "linear_cross_entropy": ((256, 50257, 256),),
    "linear_scan": ((1, 2, 16384),),
    "low_rank_ffn": ((1024, 4096, 512), (6144, 1024, 128), (200, 1024, 64)),
    "semiseparable": ((2, 4096, 512),),
    "tensor_train": ((4096, 50257, 4096, 16),),
    "tensor_train_logits": ((256, 50257, 4096, 16),),
}
"""Sizes at which the kernels are those of the real ones, and the products between them take no time."""
SINGLE = ("bk_core", "hyperbolic_scan", "linear_scan")
"""Operators that are wanted in single precision; the others run in bfloat16."""


class Absent:
    """The driver of a GPU that is only compiled for."""

    class utils:  # noqa: N801  Triton's name
        """What Triton asks of the GPU."""

        @staticmethod
        def get_device_properties(_: int) -> dict[str, int]:
            """An H100's."""
            return {"max_shared_mem": 232448, "multiprocessor_count": 132, "warpSize": 32, "max_num_regs": 65536}

    def get_current_target(self) -> GPUTarget:
        """An H100."""
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        """The only one."""
        return 0

    def get_current_stream(self, _: int) -> int:
        """Its only one."""
        return 0


def launched(name: str) -> Iterator[tuple[str, Any]]:
    """The name and the compiled form of everything that an operator launches at its sizes."""
    found: dict[int, tuple[str, Any]] = {}
    compile_only = JITFunction.run

    def run(self: Any, *args: Any, warmup: bool, **kwargs: Any) -> Any:
        kernel = compile_only(self, *args, warmup=True, **kwargs)
        found[id(kernel)] = self.__name__, kernel
        return kernel

    JITFunction.run = run
    driver.set_active(Absent())
    dispatch.INTERPRETED = True  # the kernels are taken on the CPU too
    cases = sys.modules[f"kernels.{HOMES.get(name, name)}.cases"]
    made = cases.logits if name in HOMES else cases.case
    for size in SIZES[name]:
        given = made(*size).make_inputs("cpu", torch.float32 if name in SINGLE else torch.bfloat16, 0)
        given = {key: x.requires_grad_() if _floats(x) else x for key, x in given.items()}
        out = operator(name).call(**given)
        torch.autograd.grad(out, [x for x in given.values() if _floats(x)], torch.ones_like(out))
    yield from found.values()


def _floats(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex())


def told(kernel: Any) -> dict[str, int]:
    """What the assembler says of a compiled kernel."""
    with NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        text = subprocess.check_output([TOOLS / "cuobjdump", "--dump-resource-usage", file.name], text=True)
    found = {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}
    return {"registers": found["REG"], "spilled": found["STACK"] + found["LOCAL"], "shared": kernel.metadata.shared}


if __name__ == "__main__":
    operator(sys.argv[1])
    for kernel_name, compiled in launched(sys.argv[1]):
        sys.stdout.write(json.dumps({"kernel": kernel_name, **told(compiled)}) + "\n")
