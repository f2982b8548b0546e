"""The clock of a machine is set forward or back by a day while runs and builds are under way, and all goes on."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from callboard.executors.process import Options
from tests.actors import ActorMaker
from tests.clocks import SettableClock
from tests.mortality import MortalServer
from tests.server import Client

SMALL = {"memory": 128}
SLEEPS = "echo begun; sleep 600"
COUNTS = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done"
JUMPS = [pytest.param(1, id="forward"), pytest.param(-1, id="back")]

SLEEPS_FOR_A_TIME = """
import select, time
time.sleep = lambda secs: select.select((), (), (), secs)
"""
"""Python sleeps until a moment, which the clock's library calls an invalid one if it has passed by then."""


@dataclass
class Stage:
    server: MortalServer
    clock: SettableClock
    api: Client
    sleeps: str
    counts: str

    def jump(self, days: int) -> None:
        self.clock.set(timedelta(days=days))

    async def started(self, actor: str, **params: Any) -> str:
        """Id of a run that has begun to print."""
        reply = await self.api.post(f"/v2/acts/{actor}/runs", params={**SMALL, **params})
        run_id: str = reply.data["id"]
        await self.api.until_logged(run_id, "begun" if actor == self.sleeps else "1")
        return run_id

    async def run(self, run_id: str, wait_secs: int = 0) -> dict[str, Any]:
        params = {"waitForFinish": wait_secs}
        return (await self.api.get(f"/v2/actor-runs/{run_id}", params=params)).data

    async def schedule(self, cron: str, actor: str) -> dict[str, Any]:
        body = {
            "cronExpression": cron,
            "isEnabled": True,
            "actions": [
                {"type": "RUN_ACTOR", "actorId": actor, "runOptions": {"memoryMbytes": 128}}
            ],
        }
        made = (await self.api.post("/v2/schedules", json=body)).data
        await asyncio.sleep(0.3)  # in which the ticker, woken by it, looks at the clock
        return made

    async def wake_ticker(self) -> None:
        """It looks at the clock each minute, and whenever a schedule is made."""
        await self.api.post("/v2/schedules", json={"cronExpression": "@yearly"})

    async def until_due(self, schedule_id: str, wanted: Callable[[datetime], bool]) -> datetime:
        """When the schedule is due next, once that is as wanted."""
        async with asyncio.timeout(20):
            while True:
                schedule = (await self.api.get(f"/v2/schedules/{schedule_id}")).data
                due_at = datetime.fromisoformat(schedule["nextRunAt"])
                if wanted(due_at):
                    return due_at
                await asyncio.sleep(0.05)

    async def aborted(self, run_id: str) -> dict[str, Any]:
        await self.api.post(f"/v2/actor-runs/{run_id}/abort")
        return await self.run(run_id, 20)


def start_launcher(server: MortalServer, clock: SettableClock) -> None:
    """With the same clock, which a server would not pass on."""
    folder = server.data_dir / "launcher"
    folder.mkdir(parents=True)
    options = json.dumps(asdict(Options(api_port=server.port)))
    arguments = (sys.executable, "-P", "-m", "callboard.executors.launcher", str(folder), options)
    (folder / "sitecustomize.py").write_text(SLEEPS_FOR_A_TIME)
    path = {"PATH": "/usr/sbin:/usr/bin:/bin", "PYTHONPATH": str(folder)}
    environment = {**path, **clock.environment}
    subprocess.run(arguments, check=True, env=environment, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SettableClock:
    return SettableClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def server(
    clock: SettableClock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MortalServer]:
    folder = tmp_path_factory.mktemp("set") / "data"
    with closing(MortalServer(folder, environment=clock.environment)) as one:
        start_launcher(one, clock)
        yield one.start()


@pytest.fixture(scope="module")
async def shared(server: MortalServer, clock: SettableClock) -> AsyncIterator[Stage]:
    async with Client(server.url, server.token, "admin") as api:
        maker = ActorMaker(api)
        actors = [(await maker.shell(script))["id"] for script in (SLEEPS, COUNTS)]
        yield Stage(server, clock, api, *actors)


@pytest.fixture
def stage(shared: Stage) -> Iterator[Stage]:
    yield shared
    shared.jump(0)


def secs_between(run: dict[str, Any]) -> float:
    begun, ended = (datetime.fromisoformat(run[name]) for name in ("startedAt", "finishedAt"))
    return (ended - begun).total_seconds()


@pytest.mark.parametrize("days", JUMPS)
async def test_a_run_goes_on_and_takes_as_long_as_it_takes(stage: Stage, days: int):
    run_id = await stage.started(stage.sleeps, timeout=3600)
    begun = time.monotonic()
    waiting = asyncio.ensure_future(stage.run(run_id, 1))
    await asyncio.sleep(0.3)  # in which the server begins to wait
    stage.jump(days)
    run = await waiting
    assert 0.9 < time.monotonic() - begun < 10
    assert run["status"] == "RUNNING"
    assert 0 < run["stats"]["runTimeSecs"] < 60
    run = await stage.aborted(run_id)
    assert run["status"] == "ABORTED"
    assert 0 <= secs_between(run) < 60
    assert 1 < run["stats"]["runTimeSecs"] < 60


@pytest.mark.parametrize("days", JUMPS)
async def test_a_timeout_comes_when_it_was_to_come_also_to_a_program_started_again(
    stage: Stage, days: int
):
    run_id = await stage.started(stage.sleeps, timeout=4)
    stage.jump(days)
    assert (await stage.api.post(f"/v2/actor-runs/{run_id}/reboot")).status == 200
    await stage.api.until_logged(run_id, "Starting again")
    assert (await stage.run(run_id))["status"] == "RUNNING"
    run = await stage.run(run_id, 20)
    assert run["status"] == "TIMED-OUT"
    assert 4 <= run["stats"]["runTimeSecs"] < 12


@pytest.mark.parametrize("days", JUMPS)
async def test_a_log_goes_on(stage: Stage, days: int):
    run_id = await stage.started(stage.counts)
    stage.jump(days)
    assert (await stage.run(run_id, 20))["status"] == "SUCCEEDED"
    assert await stage.api.logged(run_id) == [str(n) for n in range(1, 7)]


@pytest.mark.parametrize("days", JUMPS)
async def test_a_server_that_comes_back_counts_on(stage: Stage, days: int):
    run_id = await stage.started(stage.sleeps, timeout=3600)
    stage.server.kill()
    stage.jump(days)
    stage.server.start()
    run = await stage.run(run_id)
    assert run["status"] == "RUNNING"
    assert 0 < run["stats"]["runTimeSecs"] < 60
    assert 0 <= secs_between(await stage.aborted(run_id)) < 60


@pytest.mark.parametrize("days", JUMPS)
async def test_a_build_takes_as_long_as_it_takes(stage: Stage, days: int):
    dockerfile = "FROM debian\nRUN echo a step && sleep 0.5\nCMD true\n"
    actor = (await ActorMaker(stage.api).create({"Dockerfile": dockerfile}))["id"]
    params = {"version": "0.0", "useCache": False}
    build_id = (await stage.api.post(f"/v2/acts/{actor}/builds", params=params)).data["id"]
    await stage.api.until_logged(build_id, "a step")
    stage.jump(days)
    path = f"/v2/actor-builds/{build_id}"
    build = (await stage.api.get(path, params={"waitForFinish": 30})).data
    assert build["status"] == "SUCCEEDED"
    assert 0 <= secs_between(build) < 60
    assert 0 < build["stats"]["runTimeSecs"] < 60


async def test_lists_are_in_the_order_of_the_times_that_they_show(stage: Stage):
    before = await stage.started(stage.counts)
    stage.jump(-1)
    after = await stage.started(stage.counts)
    runs = (await stage.api.get("/v2/actor-runs")).data["items"]
    assert {before, after} <= {run["id"] for run in runs}
    assert [run["startedAt"] for run in runs] == sorted(run["startedAt"] for run in runs)


async def test_a_schedule_is_due_at_its_next_time_by_a_clock_that_was_set_back(stage: Stage):
    schedule = await stage.schedule("0 12 * * *", stage.counts)
    due_at = datetime.fromisoformat(schedule["nextRunAt"])
    stage.jump(-1)
    await stage.wake_ticker()
    sooner = await stage.until_due(schedule["id"], lambda at: at < due_at)
    assert due_at - sooner == timedelta(days=1)


async def test_a_schedule_starts_once_for_all_the_times_that_a_clock_has_skipped(stage: Stage):
    schedule = await stage.schedule("0 * * * *", stage.counts)
    due_at = datetime.fromisoformat(schedule["nextRunAt"])
    stage.jump(1)
    await stage.wake_ticker()
    later = await stage.until_due(schedule["id"], lambda at: at > due_at)
    assert timedelta(hours=23) < later - due_at < timedelta(hours=25)
    log = (await stage.api.get(f"/v2/schedules/{schedule['id']}/log")).data
    assert [entry["level"] for entry in log] == ["INFO"]


async def test_a_lock_of_a_request_ends_when_its_holder_was_told(stage: Stage):
    queue = (await stage.api.post("/v2/request-queues")).data["id"]
    path = f"/v2/request-queues/{queue}"
    await stage.api.post(f"{path}/requests", json={"url": "http://a.test", "uniqueKey": "a"})
    lock = {"lockSecs": 3600, "limit": 1, "clientKey": "holder-of-the-lock"}
    other = {**lock, "clientKey": "somebody-else-too"}
    [held] = (await stage.api.post(f"{path}/head/lock", params=lock)).data["items"]
    stage.jump(-1)
    assert (await stage.api.post(f"{path}/head/lock", params=other)).data["items"] == []
    assert held["lockExpiresAt"] > datetime.now(UTC).isoformat()
    renewed = f"{path}/requests/{held['id']}/lock"
    assert (await stage.api.put(renewed, params=lock)).status == 200
    stage.jump(1)
    [taken] = (await stage.api.post(f"{path}/head/lock", params=other)).data["items"]
    assert taken["id"] == held["id"]
    assert (await stage.api.put(renewed, params=lock)).status == 400
