"""The workflows: what starts them, what they may do, and that every step can be run by hand."""

import re
from pathlib import Path

import pytest
import yaml

from muse.reporting.summary import MARKER

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
RECIPES = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
WITHOUT_CODE = {"echo approved"}
"""The one command that is no recipe: it marks a reviewer's consent."""


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def workflow(request):
    """One workflow; its triggers are under `on`, which YAML reads as true."""
    data = yaml.safe_load(request.param.read_text())
    return {**data, "on": data.pop(True)}


@pytest.fixture
def jobs(workflow):
    """Its jobs."""
    return workflow["jobs"].values()


@pytest.fixture
def gpu():
    """The workflow of our own runner."""
    return yaml.safe_load((ROOT / ".github/workflows/gpu.yml").read_text())["jobs"]


def steps(jobs):
    """Every step of every job."""
    return [step for job in jobs for step in job["steps"]]


def test_there_are_workflows_with_and_without_a_gpu():
    """What the tests below look at."""
    assert [file.stem for file in FILES] == ["cpu", "gpu"]


def test_no_workflow_runs_a_stranger_s_code_with_our_rights(workflow):
    """Such a trigger would."""
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow["on"])


def test_every_action_is_pinned_to_a_commit_and_names_its_version(workflow):
    """A tag can be moved, a commit cannot."""
    file = (ROOT / f".github/workflows/{workflow['name']}.yml").read_text()
    used = re.findall(r"uses: (.*)", file)
    assert used
    assert [one for one in used if not re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


def test_a_workflow_may_read_and_no_more(workflow, jobs):
    """But for the job that comments, which runs nothing of the repository."""
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in jobs:
        if job.get("permissions", {}) not in ({}, {"contents": "read"}):
            assert job["permissions"] == {"pull-requests": "write"}
            assert not any("run" in step or "checkout" in step.get("uses", "") for step in job["steps"])


def test_every_command_is_a_recipe_that_also_runs_by_hand(jobs):
    """Nothing is done in a workflow that cannot be done at a desk."""
    commands = {step["run"] for step in steps(jobs) if "run" in step} - WITHOUT_CODE
    assert commands
    assert {command for command in commands if not command.startswith("make ")} == set()
    assert {word for command in commands for word in command.split()[1:]} <= RECIPES


def test_a_checkout_keeps_no_credentials(jobs):
    """What runs afterwards could read them."""
    found = [step["with"]["persist-credentials"] for step in steps(jobs) if "checkout@" in step.get("uses", "")]
    assert found
    assert not any(found)


def test_every_job_ends(jobs):
    """A hanging measurement gives its machine back."""
    assert all(job["timeout-minutes"] <= 240 for job in jobs)


def test_every_supported_python_and_pytorch_is_tested():
    """The oldest and the newest of the latter, as the constraints pin them."""
    [job] = yaml.safe_load((ROOT / ".github/workflows/cpu.yml").read_text())["jobs"].values()
    matrix = job["strategy"]["matrix"]
    pinned = [re.findall(r"^torch==(.+)$", (ROOT / name).read_text(), re.MULTILINE) for name in matrix["constraints"]]
    assert (matrix["python"], pinned) == (["3.11", "3.12", "3.13"], [["2.11.0"], ["2.13.0"]])


def test_a_pull_request_reaches_our_runner_only_from_our_branches_and_after_approval(gpu):
    """A job behind the environment's reviewers comes first, and it wants the same repository."""
    assert gpu["approve"]["environment"] == "gpu"
    assert gpu["approve"]["if"].endswith("github.event.pull_request.head.repo.full_name == github.repository")
    assert [name for name, job in gpu.items() if "self-hosted" in job["runs-on"]] == ["measure"]
    assert gpu["measure"]["needs"] == "approve"
    condition = "(github.event_name != 'pull_request' || needs.approve.result == 'success')"
    assert condition in gpu["measure"]["if"]


def test_without_a_runner_no_job_waits_for_one(gpu):
    """A fork has the workflow, and mostly no runner."""
    assert gpu["approve"]["if"].startswith("vars.GPU_RUNNER && ")
    assert gpu["measure"]["if"].startswith("${{ vars.GPU_RUNNER && ")


def test_one_measurement_runs_at_a_time_and_none_is_broken_off(gpu):
    """Two on one GPU would time each other."""
    assert gpu["measure"]["concurrency"] == {"group": "gpu", "cancel-in-progress": False}


def test_evidence_outlives_a_run_that_was_cut_off(gpu):
    """It is kept for the next run and among the artifacts, whatever happened."""
    kept = [step for step in gpu["measure"]["steps"] if re.search("cache/save|upload-artifact", step.get("uses", ""))]
    assert [step["if"] for step in kept] == ["always()"] * 3


def test_a_green_run_on_our_runner_has_measured():
    """A runner whose GPU is not seen fails."""
    [recipe] = re.findall(r"^gpu:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    runs = [line for line in recipe.splitlines() if "pytest" in line]
    assert runs
    assert all("--require-gpu" in line for line in runs)


def test_the_comment_is_found_again_by_the_summary_s_first_line(gpu):
    """Edited in place instead of repeated."""
    assert f'body.startsWith("{MARKER}")' in gpu["comment"]["steps"][-1]["with"]["script"]
