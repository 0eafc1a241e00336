"""What probes can be asked is known without importing them, and is what they can answer."""

import subprocess
import sys
from importlib import import_module

import pytest

from muse.claims.ledger import load_ledger
from muse.errors import LedgerError
from muse.probes import PROBES
from muse.units import UNITS

PROGRAM = """
import sys
from muse.probes import PROBES
print(len(PROBES), sorted(name for name in ("torch", "scipy", "triton", "pynvml") if name in sys.modules))
"""


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_has_a_function_that_measures(name):
    """Its module is found under the name that the table gives."""
    assert callable(import_module(PROBES[name].module).measure)


@pytest.mark.parametrize("name", PROBES)
def test_every_quantity_has_a_dimension_that_a_unit_has(name):
    """Otherwise no claim could ask for it."""
    assert set(PROBES[name].quantities.values()) <= {"*", *(unit.dimension for unit in UNITS.values())}


def test_every_timed_probe_needs_a_gpu():
    """Time is a claim about a card."""
    assert [name for name, signature in PROBES.items() if signature.timed and "gpu" not in signature.needs] == []


def test_every_claim_asks_its_probe_for_a_quantity_that_it_knows(real_ledger):
    """No claim of the real ledger can end in a question without an answer."""
    asked = {(claim.probe, claim.quantity) for claim in real_ledger.claims if claim.probe}
    assert asked <= {(name, quantity) for name, signature in PROBES.items() for quantity in signature.quantities}


def test_every_probe_is_used_by_a_claim(real_ledger):
    """A probe that nothing asks is dead code."""
    assert {claim.probe for claim in real_ledger.claims} - {None} == set(PROBES)


def test_the_table_of_probes_loads_no_torch(root):
    """A laptop can read the ledger, and collection opens no CUDA."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{len(PROBES)} []\n"


def test_a_comparison_without_something_to_compare_with_is_malformed(tmp_path):
    """The ledger says so with its line, and no probe crashes on it."""
    home = tmp_path / "paper"
    home.mkdir()
    (home / "document.yaml").write_text("title: T\npublished: P\nhardware: H\n")
    (home / "1.yaml").write_text(
        "section: S\nclaims:\n  more:\n    says: It has more.\n    unit: count\n    probe: parameters\n"
        "    quantity: total_difference\n    protocol: sound\n    given: {model: phase8_deep}\n"
        "    expect: {above: 0}\n    recorded: confirmed\n"
    )
    with pytest.raises(LedgerError, match=r"1\.yaml:3: paper/more: given: missing key 'against'"):
        load_ledger(tmp_path, PROBES)


def test_a_sequence_without_the_model_is_malformed():
    """The documented procedure would never come to it."""
    with pytest.raises(ValueError, match="the sequence lacks phase8_deep"):
        PROBES["memory"].given(model="phase8_deep", sequence=["phase7_deep"])
