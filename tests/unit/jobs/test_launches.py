"""Launches: a stop asked for at any moment reaches the job, and nothing is kept of jobs that are over."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

from callboard.executors.base import Executor, Exit, ExitCause, Handle, LaunchSpec, Observer
from callboard.jobs.launches import Launches

ENDED = Exit(ExitCause.EXITED, 0, 0, 1)
STOPPED = Exit(ExitCause.STOPPED, 137, 0, 1)


class SlowExecutor(Executor):
    """Keeps the executor's promises for jobs that end only when stopped, and starts them only when told to."""

    name = "slow"
    notes = ()
    api_address = "127.0.0.1:1"
    listen_address = "127.0.0.1"
    gateway_address = None

    def __init__(self, *known: str) -> None:
        self.may_start = asyncio.Event()
        self.is_starting = asyncio.Event()
        self.ends: dict[str, asyncio.Future[Exit]] = {job_id: self._end() for job_id in known}
        self.forgotten: list[str] = []

    def _end(self) -> "asyncio.Future[Exit]":
        return asyncio.get_running_loop().create_future()

    async def open(self, observer: Observer) -> None: ...

    async def close(self, *, stop_jobs: bool) -> None: ...

    def rungs(self) -> Mapping[str, str]:
        return {}

    def jobs(self) -> Mapping[str, Handle]:
        return {job_id: {"job_id": job_id} for job_id in self.ends}

    async def start(self, spec: LaunchSpec) -> Handle:
        self.is_starting.set()
        await self.may_start.wait()
        self.ends.setdefault(spec.job_id, self._end())
        return {"job_id": spec.job_id}

    async def wait(self, handle: Handle) -> Exit:
        return await asyncio.shield(self.ends[handle["job_id"]])

    async def stop(self, handle: Handle, *, grace_secs: float = 0) -> None:
        end = self.ends[handle["job_id"]]
        if not end.done():
            end.set_result(STOPPED)

    async def connect(self, handle: Handle, port: int) -> socket.socket:
        raise ConnectionRefusedError

    async def forget(self, handle: Handle) -> None:
        self.forgotten.append(handle["job_id"])
        del self.ends[handle["job_id"]]


def spec(job_id: str) -> LaunchSpec:
    return LaunchSpec(
        job_id=job_id,
        argv=("true",),
        env={},
        cwd="/",
        log_path=Path("/nowhere"),
        log_id=job_id,
        memory_mbytes=128,
        cpus=1,
    )


async def test_a_stop_before_the_start_returns_ends_the_job():
    executor = SlowExecutor()
    launches = Launches(executor)
    running = asyncio.create_task(launches.run(spec("a-1")))
    await executor.is_starting.wait()
    await launches.stop("a-1")
    executor.may_start.set()
    async with asyncio.timeout(5):
        assert (await running).cause is ExitCause.STOPPED


async def test_a_stop_while_the_job_runs_ends_it():
    executor = SlowExecutor("a-1")
    executor.may_start.set()
    launches = Launches(executor)
    running = asyncio.create_task(launches.run(spec("a-1")))
    await asyncio.sleep(0)
    await launches.stop("a-1")
    async with asyncio.timeout(5):
        assert (await running).cause is ExitCause.STOPPED


async def test_jobs_nobody_owns_are_stopped_and_forgotten():
    executor = SlowExecutor("kept-1", "running-1", "ended-2")
    executor.ends["ended-2"].set_result(ENDED)
    await Launches(executor).drop_all_but({"kept-1"})
    assert sorted(executor.forgotten) == ["ended-2", "running-1"]
    assert not executor.ends["kept-1"].done()
