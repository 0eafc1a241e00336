"""An operator, its definition or a peer as a call on fresh inputs: checked, rotated past the cache, and timed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import cycle
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from kernels.case import Work
from kernels.dispatch import implementation
from muse.errors import Unmeasured
from muse.probes.operators import DTYPES, Inputs, operator
from muse.probes.peers import PEERS, leaf, peer
from muse.probes.timing import CYCLES

Call = Callable[[], object]

LOOPS = ("bk_core", "hyperbolic_scan", "linear_scan")
"""Operators whose definition steps through time: a compiler would unroll thousands of steps."""
COPIED = 2**30
"""Bytes of the copy that measures the memory's bandwidth."""
SIDE = 8192
"""Rows and columns of the matrix product that measures the arithmetic's rate."""
AHEAD, LONGEST = 250_000, 64_000_000
"""Cycles for which the GPU waits at first and at most, while the CPU launches a call whose time is then the GPU's."""
MOST = 8
"""How often to call for one sample, at most."""
SHORTEST = 5e-3
"""Seconds that the calls of one sample last together."""
LONG = 0.5
"""Seconds from which on a call is long: it needs no more warming up."""
SETS = 128
"""How many sets of inputs there are at most."""


@dataclass(frozen=True)
class Subject:
    """What is run: an operator's case in a dtype, by itself (`who` is None) or by another."""

    operator: str
    case: str
    dtype: str
    both: bool
    """Forward and backward, or forward alone."""
    who: str | None = None
    """`reference`, `compiled`, or the name of a peer."""

    @property
    def work(self) -> Work:
        """What the pass cannot do without."""
        case, dtype = operator(self.operator).case(self.case), DTYPES[self.dtype]
        forward, backward = case.forward(dtype), case.backward(dtype)
        return Work(*(f + b for f, b in zip(forward, backward, strict=True))) if self.both else forward

    def function(self) -> Callable[..., Tensor]:
        """What is called. Raises Unmeasured where there is no such thing."""
        mine = operator(self.operator)
        match self.who:
            case None:
                return mine.call
            case "reference":
                return mine.definition
            case "compiled":
                if self.operator in LOOPS:
                    raise Unmeasured("no_peer", f"the definition of {self.operator} is a loop over time")
                torch.compiler.reset()  # after a few sizes of one function the compiler gives up, and says nothing
                return torch.compile(mine.definition)
            case name:
                return peer(self.operator, name).call

    def arguments(self, device: torch.device, seed: int, *, part: bool = False) -> dict[str, Any]:
        """Fresh arguments, as the function wants them; with `part`, of the part on which agreement is checked."""
        mine = operator(self.operator)
        inputs = mine.inputs(self.case, self.dtype, device, seed)
        inputs = mine.part(inputs, brief=True) if part else inputs
        if self.who in (None, "reference", "compiled"):
            return inputs
        other = peer(self.operator, str(self.who))
        if not other.fits(inputs) or (self.both and not other.differentiable):
            passes = "forward and backward" if self.both else "forward"
            raise Unmeasured("no_peer", f"{self.who} does not do {self.case!r} of {self.operator} {passes}")
        with torch.no_grad():
            return other.arrange(inputs, mine.definition)

    def require_agreement(self, device: torch.device) -> None:
        """Raise Disagreement where the operator is wrong in the passes that run, and Unmeasured where a peer is."""
        _require_agreement(self, device)

    def prepare(self, device: torch.device) -> Call:
        """A call that takes the next set of inputs each time: none is still in the cache when its turn comes again."""
        function = self.function()
        first = self.arguments(device, 0)
        sets = rotation(first, device)
        calls = [_pass(function, first if i == 0 else self.arguments(device, i), both=self.both) for i in range(sets)]
        turn = cycle(calls)

        def following() -> object:
            return next(turn)()

        return following

    def how(self, device: torch.device) -> dict[str, Any]:
        """Which implementation runs, and in which configurations it was tuned."""
        first = next(x for x in self.arguments(device, 0, part=True).values() if isinstance(x, Tensor) and _floats(x))
        if self.who is None:
            return {"implementation": implementation(first), "configurations": _tuned(f"kernels.{self.operator}")}
        known = PEERS.get(self.operator, {}).get(self.who)
        return {"implementation": self.who, "configurations": _tuned(known.package) if known else {}}

    def against(self, who: str) -> Subject:
        """The same work by another."""
        return replace(self, who=who)


@cache
def _require_agreement(what: Subject, device: torch.device) -> None:
    """Once in a process, for double precision takes its time."""
    mine = operator(what.operator)
    if what.who is None:
        given = mine.inputs(what.case, what.dtype, device)
        mine.require_agreement(mine.case(what.case), given, backward=what.both)
    elif what.who not in ("reference", "compiled"):
        given, definition = what.arguments(device, 0, part=True), mine.definition
        peer(what.operator, what.who).require_agreement(what.who, given, definition, backward=what.both)


def _floats(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def rotation(arguments: Inputs, device: torch.device) -> int:
    """How many sets of inputs it takes to read twice the L2 cache before one comes again."""
    if device.type != "cuda":
        return 1
    size = sum(x.numel() * x.element_size() for x in arguments.values() if isinstance(x, Tensor))
    return min(SETS, 1 + -(-2 * torch.cuda.get_device_properties(device).L2_cache_size // max(size, 1)))


def _pass(function: Callable[..., Tensor], arguments: Inputs, *, both: bool) -> Call:
    if not both:
        return partial(torch.no_grad()(function), **arguments)
    given = {name: leaf(x) for name, x in arguments.items()}
    leaves = [x for x in given.values() if isinstance(x, Tensor) and x.requires_grad]
    sent = torch.randn_like(function(**given))

    def forward_and_backward() -> object:
        out = function(**given)
        return out.detach(), torch.autograd.grad(out, leaves, sent)

    return forward_and_backward


def ceilings(dtype: torch.dtype, device: torch.device) -> dict[str, Call]:
    """A copy and a matrix product, whose rates are what this GPU can do."""
    source = torch.empty(COPIED, dtype=torch.uint8, device=device)
    copied = torch.empty_like(source)
    real = torch.float32 if dtype.is_complex else dtype
    left, right = (torch.randn(SIDE, SIDE, dtype=real, device=device) for _ in range(2))
    return {"copy": partial(copied.copy_, source), "product": partial(torch.mm, left, right)}


def floor(work: Work, copy: float, product: float) -> float:
    """Seconds that the work takes at least, by the seconds that the two ceilings took."""
    return max(work.bytes * copy / (2 * COPIED), work.flops * product / (2 * SIDE**3))


def repeats(call: Call) -> int:
    """How often to call for one sample; warms up, compiles and tunes on the way."""
    call()
    if (once := seconds(call, 1)) > LONG:
        return 1
    call()
    return min(MOST, max(1, round(SHORTEST / max(min(once, seconds(call, 3)), 1e-7))))


def seconds(call: Call, times: int) -> float:
    """The median time of a call on the GPU, which waits longer where it has begun before all was launched."""
    found: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
    ahead = AHEAD
    while len(found) < times:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(ahead)  # noqa: SLF001  # no public call keeps a GPU waiting
        begin.record()
        since = perf_counter()
        call()
        launching = int(CYCLES * (perf_counter() - since))
        if begin.query() and ahead < LONGEST:
            ahead = min(2 * max(ahead, launching), LONGEST)
            continue
        end.record()
        found.append((begin, end))
    torch.cuda.synchronize()
    return median(begin.elapsed_time(end) / 1e3 for begin, end in found)


def extra_bytes(call: Call) -> int:
    """The most bytes that a call holds at once beyond what it is given and what it returns, after a warm-up."""
    for _ in range(2):
        call()
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    results = call()
    torch.cuda.synchronize()
    kept = torch.cuda.memory_allocated() - before
    del results
    return torch.cuda.max_memory_allocated() - before - kept


def _tuned(package: str) -> dict[str, str]:
    """The configurations that Triton's autotuner last chose, by kernel, in the loaded modules of `package`."""
    tuners = sys.modules.get("triton.runtime.autotuner")
    if tuners is None:
        return {}
    found = {}
    for name, module in list(sys.modules.items()):
        if f"{name}.".startswith(f"{package}."):
            for kernel, x in vars(module).items():
                inner = x.fn if isinstance(x, tuners.Heuristics) else x
                if isinstance(inner, tuners.Autotuner) and getattr(inner, "best_config", None) is not None:
                    found[kernel] = str(inner.best_config)
    return found
