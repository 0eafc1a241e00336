"""The program itself: its commands, its help, and what this machine can decide."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from tomllib import loads

import pytest
import typer
from click.testing import CliRunner

from muse import cli

COMMANDS = [
    "init",
    "list",
    "show",
    "verify",
    "predict",
    "measure",
    "fit",
    "report",
    "promote",
    "diff",
    "summary",
    "history",
    "coverage",
    "doctor",
    "schema",
]


def test_doctor_counts_what_this_machine_can_decide(muse, real_ledger):
    """Decidable and undecidable claims are all claims."""
    facts = json.loads(muse("doctor", "--json")[1])
    assert facts["claims"] == len(real_ledger.claims)
    assert facts["decidable"] + sum(facts["undecidable"].values()) == facts["claims"]
    assert facts["undecidable"]["no_gpu"] == sum("gpu" in claim.needs for claim in real_ledger.claims)


def test_outside_of_a_project_nothing_is_judged(tmp_path):
    """One line says where claims were looked for; what needs none is told all the same."""

    def run(*words):
        command = [sys.executable, "-m", "muse", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    listed = run("list")
    assert (listed.returncode, listed.stdout) == (2, "")
    missing = f"{tmp_path / 'tests/claims'}: no such folder"
    assert listed.stderr.startswith(f"muse: {missing}")
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["ledger"].startswith(missing)
    assert (facts["claims"], facts["machine"].split("-")[0]) == (0, "cpu")
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_help():
    """A sentence of its own, and every option one too."""
    group = typer.main.get_command(cli.app)
    assert list(group.commands) == COMMANDS
    for name, command in group.commands.items():
        done = CliRunner().invoke(group, [name, "--help"])
        assert done.exit_code == 0
        assert command.help.splitlines()[0] in " ".join(done.output.split()), name
        assert all(getattr(parameter, "help", None) for parameter in command.params), name


@pytest.mark.parametrize("lines", [1, 0])
def test_a_reader_that_has_enough_is_no_changed_verdict(root, lines):
    """`muse list | head -1` ends as other programs do, and says nothing of it."""
    command = f"{sys.executable} -m muse list | head -{lines}; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[-1], done.stderr) == (str(cli.CLOSED), "")


def test_the_version_is_the_packages(muse):
    """For a report of a mistake."""
    assert muse("--version")[:2] == (0, f"muse {version('muse-verify')}\n")


def test_the_short_option_helps_too(muse):
    """At the top and in every command."""
    assert muse("-h")[:2] == muse("--help")[:2]
    assert muse("list", "-h")[:2] == muse("list", "--help")[:2]


def test_the_module_is_the_program(muse, root):
    """`python -m muse` prints what the installed script does."""
    script = loads((root / "pyproject.toml").read_text())["project"]["scripts"]["muse"]
    module, _, function = script.partition(":")
    assert getattr(import_module(module), function) is cli.main
    command = [sys.executable, "-m", "muse", "list", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == muse("list", "--json")[:2]
