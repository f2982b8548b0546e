"""A pool of standby runs when the server fails at what it is meant to do with them.

The runs are stand-ins, as the server does not fail when it is told to.
"""

import asyncio
from dataclasses import fields

import pytest

from callboard.actors.model import Actor
from callboard.actors.standby import StandbyConfig
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.gateway import standby_pool
from callboard.gateway.errors import StandbyNotReady
from callboard.gateway.standby_pool import Pool
from callboard.gateway.standby_runs import StandbyRuns
from callboard.gateway.standby_targets import Target
from callboard.runs.errors import RunNotFound
from callboard.runs.model import Run

NOW = clock.now()
ACTOR = Actor("actor", "me", "me", "a", NOW, NOW, False, {}, {}, {}, {}, None, 0)
TARGET = Target(Caller("me", "me"), ACTOR, None, StandbyConfig(idle_timeout_secs=0), "build")


class Runs(StandbyRuns):
    """Each serves at once and goes on until it is told to end. Each failure is raised once, in turn."""

    def __init__(self, **failures: list[Exception]) -> None:
        self.failures = failures
        self.alive: dict[str, asyncio.Event] = {}
        self.started = 0

    def _fail(self, doing: str) -> None:
        if failures := self.failures.get(doing):
            raise failures.pop(0)

    async def start(self, target: Target) -> Run:
        self.started += 1
        run_id = f"run{self.started}"
        self.alive[run_id] = asyncio.Event()
        values = dict.fromkeys(one.name for one in fields(Run))
        return Run(**values | {"id": run_id, "build_id": target.build_id, "memory_mbytes": 128})

    async def until_serving(self, run: Run) -> None:
        self._fail("until_serving")

    async def until_ending(self, run: Run) -> None:
        self._fail("until_ending")
        await self.alive[run.id].wait()

    async def end(self, caller: Caller, run: Run, why: str) -> None:
        self._fail("end")
        self.alive.pop(run.id).set()

    def has_room_for_another(self, like: Run) -> bool:
        return False


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby_pool, "_END_PAUSES_SECS", (0,))


def pool_of(runs: Runs) -> tuple[Pool, asyncio.Event]:
    empty = asyncio.Event()
    return Pool(runs, TARGET, empty.set), empty


async def used(pool: Pool) -> str:
    async with asyncio.timeout(10), pool.room(TARGET) as run:
        return run.id


async def test_an_idle_run_that_cannot_be_ended_is_tried_again():
    runs = Runs(end=[OSError("the disk is full"), OSError("the disk is full")])
    pool, empty = pool_of(runs)
    assert await used(pool) == "run1"
    async with asyncio.timeout(10):
        await empty.wait()
    assert runs.alive == {}
    assert await used(pool) == "run2"
    await pool.close()


async def test_a_run_that_never_served_is_ended_however_often_that_fails():
    failures = {"until_serving": [StandbyNotReady(1)], "end": [OSError("the disk is full")]}
    runs = Runs(**failures)
    pool, _ = pool_of(runs)
    with pytest.raises(StandbyNotReady):
        await used(pool)
    assert runs.alive == {}
    assert await used(pool) == "run2"
    await pool.close()


async def test_a_run_that_cannot_be_followed_is_ended_and_replaced():
    runs = Runs(until_ending=[OSError("the disk is full")])
    pool, _ = pool_of(runs)
    await used(pool)
    assert await used(pool) == "run2"
    assert list(runs.alive) == ["run2"]
    await pool.close()


async def test_a_run_that_is_gone_is_not_tried_again():
    runs = Runs(end=[RunNotFound()], until_ending=[OSError("the disk is full")])
    pool, empty = pool_of(runs)
    await used(pool)
    async with asyncio.timeout(10):
        await empty.wait()
    assert runs.failures["end"] == []
    await pool.close()
