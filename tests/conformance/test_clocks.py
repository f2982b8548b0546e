"""A server whose clock is a day ahead of all others, or behind: jobs have the time that they were given."""

from datetime import timedelta
from pathlib import Path

import pytest

from callboard.executors.base import ExitCause
from tests.clocks import SettableClock

from .conftest import Stage
from .killing import killed_at

pytestmark = pytest.mark.xdist_group("docker")

RECORDED = {
    "process": "callboard.executors.process:ProcessExecutor._note_end after",
    "docker": "callboard.executors.docker.records:JobFolder.save_exit after",
}
KINDS = pytest.mark.parametrize("make_executor", RECORDED, indirect=True)


@KINDS
async def test_a_job_is_not_ended_early_by_a_clock_that_is_ahead(own_stage: Stage, tmp_path: Path):
    clock = SettableClock(tmp_path)
    clock.set(timedelta(days=1))
    spec = own_stage.spec("counts.py", timeout_secs=60)
    await killed_at(RECORDED[own_stage.executor.name], own_stage, spec, clock.environment)
    end = await own_stage.wait(own_stage.executor.jobs()[spec.job_id])
    assert (end.cause, end.exit_code) == (ExitCause.EXITED, 0)


@KINDS
async def test_a_job_is_ended_in_time_by_a_clock_that_is_behind(own_stage: Stage, tmp_path: Path):
    clock = SettableClock(tmp_path)
    clock.set(-timedelta(days=1))
    spec = own_stage.spec("/bin/sleep", "60", timeout_secs=1)
    await killed_at(RECORDED[own_stage.executor.name], own_stage, spec, clock.environment)
    end = await own_stage.wait(own_stage.executor.jobs()[spec.job_id])
    assert end.cause is ExitCause.TIMEOUT
    assert 0 <= end.finished_at_millis - end.started_at_millis < 10_000
