"""The measuring process on a GPU: what it reads is the workload's own, every time."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from muse.memory import peak
from muse.memory.card import this_card
from muse.memory.predict import predict_documented, workspace_bytes
from muse.memory.workload import Workload
from muse.probes.workloads import workload

pytestmark = pytest.mark.gpu

MIB = 2**20
WORKSPACE = 8_519_680
"""8.125 MiB, from the settings' :4096:2:16:8."""
PROGRAM = """
import tempfile
from pathlib import Path
import torch
from muse.config import load_settings
from muse.verify import Run, open_ledger, verify

settings = load_settings(Path.cwd())
[claim] = [c for c in open_ledger(settings).claims if c.id == "phase7_vs_phase8/peak_vram_sound[standard-phase7]"]
with tempfile.TemporaryDirectory() as folder:
    record = verify(claim, Run(settings, Path(folder)))
print(record.verdict.status, torch.cuda.is_initialized())
"""


@pytest.fixture(scope="session")
def kept(alone, subjects):
    """A small network that keeps bytes from its first pass, measured by the sound procedure."""
    return lambda size: alone(peak.sound, Workload(partial(subjects.Keeper, size), 100, 256), None, needs=2**30)


def test_the_same_measurement_gives_the_same_bytes(alone, measured):
    """Byte for byte, in a process of its own each time."""
    again = alone(peak.sound, workload({"model": "phase7_standard"}), None)
    first = measured("phase7_standard")
    assert (again.peak, again.model, again.by_kind) == (first.peak, first.model, first.by_kind)


def test_a_leaked_tensor_raises_the_peak_by_its_size(kept):
    """64 MiB that the warm-up left behind are 64 MiB of activation, and not of the model."""
    clean, leaking = kept(0), kept(64 * MIB)
    assert leaking.peak - clean.peak == 64 * MIB
    assert leaking.by_kind["activations"] - clean.by_kind["activations"] == 64 * MIB
    assert leaking.model == clean.model


def test_the_workspace_has_the_size_that_was_asked_for(measured):
    """The same on every card, by the environment of the measuring process."""
    found = measured("phase7_standard")
    assert found.workspace == found.by_kind["workspace"] == WORKSPACE
    assert found.how["cublas_workspace"] == ":4096:2:16:8"


def test_the_kinds_add_up_to_the_peak(measured):
    """Nothing is counted twice, and nothing is left out."""
    found = measured("phase7_standard")
    assert sum(found.by_kind.values()) == found.peak


def test_what_the_process_holds_is_more_than_what_is_allocated(measured):
    """Reserved from the driver is at least the peak; the driver's own figure counts the context too."""
    found = measured("phase7_standard")
    assert found.parameters <= found.model <= found.peak <= found.reserved
    assert found.process is None or found.process > found.reserved


def test_the_documented_procedure_charges_the_second_model_with_the_workspace(alone, measured):
    """The first model loads alone; the second finds what the first one's matrix products left."""
    names = "phase7_standard", "phase8_standard"
    found = alone(peak.documented, [workload({"model": name}) for name in names], "before_loading")
    assert [one.model - measured(name).model for one, name in zip(found, names, strict=True)] == [0, WORKSPACE]


def test_a_peak_reset_before_loading_includes_the_conversion_from_float32(alone, measured):
    """All of float32 at once, and the first copy; reset afterwards, the peak is the pass's own."""
    what = workload({"model": "phase1_ultra", "tokens": 64, "through_float32": True})
    before, after = (alone(peak.documented, [what], f"{when}_loading")[0] for when in ("before", "after"))
    made = workload({"model": "phase1_ultra", "tokens": 64})
    assert before.model == after.model == alone(peak.documented, [made], "before_loading")[0].model
    assert before.peak >= 2 * before.parameters
    assert after.peak <= before.peak


def test_the_conversion_from_float32_is_predicted_to_a_hundredth(alone, settings):
    """In a network whose loading needs more than its pass."""
    what = workload({"model": "phase8_push", "tokens": 2, "through_float32": True})
    workspace = workspace_bytes(settings.cublas_workspace)
    [expected] = predict_documented([what], "before_loading", workspace, this_card())
    [found] = alone(peak.documented, [what], "before_loading")
    assert found.peak > 2 * found.model
    assert found.peak == pytest.approx(expected.total_bytes, rel=1e-2)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_in_backward"])
def test_updating_in_backward_holds_no_gradients_at_the_peak(alone, optimizer):
    """The plain optimizer holds them all in its step."""
    found = alone(
        peak.sound, workload({"model": "phase1_ultra", "tokens": 8, "train": True, "optimizer": optimizer}), None
    )
    assert (found.by_kind["gradients"] > 0) is (optimizer == "adamw")
    assert sum(found.by_kind.values()) == found.peak


def test_a_claim_about_memory_opens_no_cuda_in_this_process():
    """The verifying process stays without a context, which would count as somebody's memory."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300)
    status, initialised = done.stdout.split()
    assert status in ("confirmed", "refuted")
    assert initialised == "False"
