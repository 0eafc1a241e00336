"""What becomes of measured bytes: the documents' arithmetic and the sound one, on readings made by hand."""

import json
from fractions import Fraction

import pytest

from muse.claims.claim import Scope
from muse.errors import Unmeasured
from muse.memory import peak
from muse.memory.peak import Peak
from muse.probes import memory

WORKSPACE = 8_519_680
SEQUENCE = ("phase7_maximum", "phase8_maximum", "phase7_large")
PARAMETERS = {"phase7_maximum": 1_000_000, "phase8_maximum": 1_002_048, "phase7_large": 500_000}
ACTIVATION = 3_000_000


def one_of_many(name: str, position: int) -> Peak:
    """Return what the documents' procedure reads off the allocator for the model at this position."""
    held = 0 if position == 0 else WORKSPACE
    size = PARAMETERS[name]
    return Peak(size, size + held, size + ACTIVATION + WORKSPACE, held, 9_000_000, None)


def alone(name: str) -> Peak:
    """Return what the sound procedure reads."""
    size = PARAMETERS[name]
    kinds = {"parameters": size, "gradients": 7, "optimizer": 11, "activations": ACTIVATION, "workspace": WORKSPACE}
    return Peak(size, size, size + ACTIVATION + WORKSPACE, WORKSPACE, 9_000_000, 9_500_000, kinds)


@pytest.fixture
def isolated(monkeypatch):
    """The calls that would have been measuring processes; each is answered by hand."""
    calls = []

    def isolate(function, *args, environment, timeout):
        calls.append((function, args, environment))
        if function is peak.sound:
            return alone(args[0].build.args[0])
        return [one_of_many(what.build.args[0], position) for position, what in enumerate(args[0])]

    monkeypatch.setattr(memory, "isolate", isolate)
    return calls


@pytest.fixture
def read(ask):
    """One quantity of a preset by the sound procedure."""
    return lambda quantity, model="phase8_maximum", **given: ask("memory", quantity, "B", model=model, **given).value


@pytest.fixture
def documented(read):
    """One quantity of a preset by the documents' procedure."""
    return lambda quantity, model, **given: read(quantity, model, protocol="documented", sequence=SEQUENCE, **given)


@pytest.mark.usefixtures("isolated")
def test_soundly_the_activation_is_what_the_process_counted(read):
    """Not a difference of two of the allocator's figures."""
    found = [read(quantity) for quantity in ("model", "peak", "activation", "workspace")]
    assert found == [1_002_048, 1_002_048 + ACTIVATION + WORKSPACE, ACTIVATION, WORKSPACE]


@pytest.mark.usefixtures("isolated")
def test_by_the_document_the_first_model_carries_the_workspace_as_activation(documented):
    """Nothing is held yet when it is loaded."""
    found = [documented(quantity, "phase7_maximum") for quantity in ("model", "activation")]
    assert found == [1_000_000, ACTIVATION + WORKSPACE]


@pytest.mark.parametrize("model", SEQUENCE[1:])
@pytest.mark.usefixtures("isolated")
def test_by_the_document_a_later_model_carries_it_as_weight(documented, model):
    """The peak is the same, what is called model is not."""
    found = [documented(quantity, model) for quantity in ("model", "activation", "peak")]
    assert found == [PARAMETERS[model] + WORKSPACE, ACTIVATION, PARAMETERS[model] + ACTIVATION + WORKSPACE]


@pytest.mark.usefixtures("isolated")
def test_the_procedures_disagree_about_who_needs_less_activation(read, documented):
    """The documents' advantage of Phase 8 is the workspace; soundly there is none."""
    pair = {"model": "phase8_maximum", "against": "phase7_maximum"}
    assert documented("activation_difference", **pair) == -WORKSPACE
    assert read("activation_difference", **pair) == 0


@pytest.mark.usefixtures("isolated")
def test_a_change_is_relative_to_the_other_model(read):
    """The denominator is what the document compares with."""
    assert read("model_change", against="phase7_maximum") == Fraction(2048, 1_000_000)


def test_the_document_s_sequence_is_one_process(documented, isolated):
    """All claims about it share one measurement, in the order that the claim gives."""
    for model in SEQUENCE:
        documented("peak", model)
    [(function, (workloads, reset), _)] = isolated
    assert (function, reset) == (peak.documented, "before_loading")
    assert tuple(what.build.args[0] for what in workloads) == SEQUENCE


def test_the_document_may_reset_the_peak_after_loading(documented, isolated):
    """The process is told when, and it is another question."""
    for reset in ("before_loading", "after_loading"):
        documented("peak", "phase7_maximum", reset=reset)
    assert [args[1] for _, args, _ in isolated] == ["before_loading", "after_loading"]


def test_a_subject_of_the_sequence_may_have_settings_of_its_own(read, isolated):
    """The same model twice, at two precisions, is two rows of one process."""
    sequence = [{"model": "phase7_maximum", "dtype": dtype} for dtype in ("float32", "float16")]
    given = {"protocol": "documented", "sequence": sequence, "model": "phase7_maximum"}
    found = [read("model", **given, dtype=dtype) for dtype in ("float32", "float16")]
    assert found == [1_000_000, 1_000_000 + WORKSPACE]
    [(_, (workloads, _), _)] = isolated
    assert [what.dtype for what in workloads] == ["float32", "float16"]


def test_the_other_model_may_have_settings_of_its_own(read, isolated):
    """What it does not say is the claim's."""
    against = {"model": "phase7_maximum", "dtype": "float32", "optimizer": "sgd"}
    read("peak_change", tokens=64, train=True, against=against)
    mine, other = (args[0] for _, args, _ in isolated)
    assert (mine.dtype, mine.optimizer) == ("float16", "adamw")
    assert (other.dtype, other.optimizer, other.tokens, other.train) == ("float32", "sgd", 64, True)


@pytest.mark.parametrize(("quantity", "value"), [("gradients", 7), ("optimizer", 11), ("parameters", 1_002_048)])
@pytest.mark.usefixtures("isolated")
def test_soundly_every_kind_is_a_quantity(read, quantity, value):
    """As the process counted it."""
    assert read(quantity) == value


@pytest.mark.usefixtures("isolated")
def test_what_ran_within_its_budget_fits(ask):
    """One for yes, and the evidence is emulated."""
    found = ask("memory", "fits", model="phase8_maximum", budget=5 * 2**30)
    assert (found.value, found.scope) == (1, Scope.EMULATED)


def test_what_ran_out_of_its_budget_does_not_fit(ask, monkeypatch):
    """That is the measurement, and no failure of it; any other failure still is."""

    def failing(reason):
        def isolate(*args, **kwargs):
            raise Unmeasured(reason, "CUDA said so")

        monkeypatch.setattr(memory, "isolate", isolate)

    failing("out_of_memory")
    found = ask("memory", "fits", model="phase8_maximum", budget=5 * 2**30)
    assert (found.value, found.scope, found.how) == (0, Scope.EMULATED, {"out_of_memory": "CUDA said so"})
    failing("driver_error")
    with pytest.raises(Unmeasured, match="CUDA said so"):
        ask("memory", "fits", model="phase8_maximum", budget=6 * 2**30)


def test_soundly_every_model_has_a_process_of_its_own(read, isolated):
    """A comparison is two processes, and a second claim about the same models none."""
    read("peak_difference", against="phase7_maximum")
    read("model_difference", against="phase7_maximum")
    assert [args[0].build.args[0] for _, args, _ in isolated] == ["phase8_maximum", "phase7_maximum"]


def test_the_measuring_process_has_the_settings_environment(read, isolated, settings):
    """The workspace has the same size on every card."""
    read("peak")
    [(_, _, environment)] = isolated
    assert environment == settings.environment
    assert environment["CUBLAS_WORKSPACE_CONFIG"] == ":4096:2:16:8"


def test_a_budget_is_a_cap_and_its_evidence_emulated(ask, isolated):
    """A bigger card under a cap is not the card."""
    found = ask("memory", "peak", "B", model="phase8_maximum", budget=5 * 2**30)
    assert (found.scope, isolated[0][1][1]) == (Scope.EMULATED, 5 * 2**30)


def test_without_a_budget_the_evidence_is_measured_without_a_cap(ask, isolated):
    """Nothing is imposed that the claim did not ask for."""
    found = ask("memory", "peak", "B", model="phase8_maximum")
    assert (found.scope, isolated[0][1][1]) == (Scope.MEASURED, None)


def test_a_budget_is_another_question(read, isolated):
    """What fits without a cap says nothing about what fits under one."""
    read("peak")
    read("peak", budget=5 * 2**30)
    assert len(isolated) == 2


def test_an_out_of_memory_is_the_claim_s_reason(read, monkeypatch):
    """It comes back as data."""

    def isolate(*args, **kwargs):
        raise Unmeasured("out_of_memory", "CUDA out of memory")

    monkeypatch.setattr(memory, "isolate", isolate)
    with pytest.raises(Unmeasured) as caught:
        read("peak")
    assert caught.value.reason == "out_of_memory"


@pytest.mark.usefixtures("isolated")
def test_workers_find_each_others_readings(read, documented, bench):
    """The question is the same text in every process: no address of an object is in it."""
    read("peak")
    documented("peak", "phase7_maximum")
    questions = [json.loads(file.read_text())["question"] for file in bench.readings.glob("*.json")]
    assert len(questions) == 2
    assert "0x" not in str(questions)


def test_the_allocator_s_other_figures_are_kept_as_evidence(ask, isolated):
    """Allocated is judged; reserved and the counted parameters stand beside it."""
    assert ask("memory", "peak", "B", model="phase8_maximum").how["bytes"] == {
        "model": 1_002_048,
        "peak": 1_002_048 + ACTIVATION + WORKSPACE,
        "workspace": WORKSPACE,
        "parameters": 1_002_048,
        "reserved": 9_000_000,
        "activation": ACTIVATION,
        "gradients": 7,
        "optimizer": 11,
        "logits": 512 * 50257 * 2,
    }
