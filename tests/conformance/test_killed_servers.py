"""Servers that are killed at each step of a job's life: the next one finds the job, which has run once and whole."""

import pytest

from .conftest import Stage
from .killing import killed_at

pytestmark = pytest.mark.xdist_group("docker")

_DOCKER = "callboard.executors.docker"
_PROCESS = "callboard.executors.process:ProcessExecutor"

STEPS = {
    "process": {"it is started": f"{_PROCESS}.start after"},
    "docker": {
        "its start is noted": f"{_DOCKER}.records:JobFolder.note_start after",
        "its container is started": f"{_DOCKER}.containers:Containers.start after",
        "its log is half written": f"{_DOCKER}.follower:Cursor.save after",
        "its end is recorded": f"{_DOCKER}.records:JobFolder.save_exit after",
    },
}
FORGOTTEN = {"docker": {"it is forgotten": f"{_DOCKER}.records:JobFolder.remove after"}}


def at_each(steps: dict[str, dict[str, str]]) -> pytest.MarkDecorator:
    """An executor and a step of its own."""
    cases = [
        pytest.param(kind, step, id=f"{name}, {kind}")
        for kind, named in steps.items()
        for name, step in named.items()
    ]
    return pytest.mark.parametrize(("make_executor", "step"), cases, indirect=["make_executor"])


@at_each(STEPS)
async def test_a_job_runs_once_and_whole_after_a_death_when(own_stage: Stage, step: str):
    spec = own_stage.spec("counts.py")
    await killed_at(step, own_stage, spec)
    handle = await own_stage.executor.start(spec)
    assert (await own_stage.wait(handle)).exit_code == 0
    assert own_stage.log(spec) == [f"number {n}" for n in range(100)]


@at_each(FORGOTTEN)
async def test_nothing_is_known_of_a_job_after_a_death_when(own_stage: Stage, step: str):
    spec = own_stage.spec("/bin/true")
    await killed_at(step, own_stage, spec)
    assert spec.job_id not in own_stage.executor.jobs()
