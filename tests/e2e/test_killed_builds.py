"""A server that is killed at each step of a build's life: the next one carries it to its end, once and whole."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.mortality import MortalServer, at_each, cut_off, until_idle
from tests.server import Client

LAUNCHES = "callboard.jobs.launches:Launches"
PROCESS = "callboard.executors.process:ProcessExecutor"
SERVICE = "callboard.builds.service"
SOURCING = "callboard.builds.sourcing"
SUPERVISOR = "callboard.builds.supervisor"

END = {
    "its end is known": f"{PROCESS}._note_end before",
    "its end is half written": f"{SUPERVISOR}:_end after",
    "its end is recorded": f"{SUPERVISOR}:record after",
    "its job is forgotten": f"{LAUNCHES}.forget after",
}
START = {
    "it is recorded": f"{SUPERVISOR}:BuildSupervisor.submit before",
    "it is taken up": f"{SUPERVISOR}:_begin after",
    "it is RUNNING": f"{SOURCING}:Sourcing.prepare before",
    "its sources are laid out": f"{SOURCING}:write_source_files after",
    "its launch is prepared": f"{LAUNCHES}.run before",
    "the launcher has its job": f"{PROCESS}.start after",
    "a step is under way": "callboard.jobs.observer:JobObserver.log_grew before",
    **END,
}
ABORT = {
    "it is ABORTING": f"{SUPERVISOR}:BuildSupervisor._stop before",
    "its driver is being stopped": f"{LAUNCHES}.stop after",
    "its end is known": f"{PROCESS}._note_end before",
    "its end is recorded": f"{SUPERVISOR}:record after",
}
NUMBERED = f"{SERVICE}:build_number_int after"
FILES_REMOVED = f"{SUPERVISOR}:BuildSupervisor.remove_files before"
STEPS = sorted({*START.values(), *ABORT.values(), NUMBERED, FILES_REMOVED})

SMALL = {"memory": 128}
STEP = "echo a step && sleep 0.2 && echo made > made"


def files(step: str) -> dict[str, str]:
    return {"Dockerfile": f"FROM debian\nCOPY . ./\nRUN {step}\nCMD cat made\n"}


@dataclass
class Stage:
    """A server that can be told where to die, an Actor that has been built, and one whose build takes for ever."""

    server: MortalServer
    api: Client
    actor: str
    endless: str

    async def begin(self, actor: str) -> dict[str, Any] | None:
        params = {"version": "0.0", "tag": "latest", "useCache": False}
        reply = await cut_off(self.api.post(f"/v2/acts/{actor}/builds", params=params))
        return None if reply is None else reply.data

    async def builds(self, actor: str) -> list[dict[str, Any]]:
        """The newest first."""
        path = f"/v2/acts/{actor}/builds"
        return (await self.api.get(path, params={"desc": 1})).data["items"]

    async def ended(self, build_id: str) -> dict[str, Any]:
        path = f"/v2/actor-builds/{build_id}"
        return (await self.api.get(path, params={"waitForFinish": 30})).data

    async def tagged(self, actor: str) -> str:
        """Id of the build that is tagged `latest`."""
        tags = (await self.api.get(f"/v2/acts/{actor}")).data["taggedBuilds"]
        return tags["latest"]["buildId"]

    async def until_idle(self) -> None:
        await until_idle(self.server, self.api)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalServer]:
    with closing(MortalServer(tmp_path_factory.mktemp("mortal") / "data", STEPS)) as one:
        yield one.start()


@pytest.fixture(scope="module")
async def stage(server: MortalServer) -> AsyncIterator[Stage]:
    async with Client(server.url, server.token, "admin") as api:
        maker = ActorMaker(api)
        actor = (await maker.built(files(STEP)))["id"]
        endless = (await maker.create(files("echo a step && sleep 600")))["id"]
        yield Stage(server, api, actor, endless)


async def test_a_build_that_was_not_committed_leaves_nothing(stage: Stage):
    before = await stage.builds(stage.actor)
    async with stage.server.dying_at(NUMBERED):
        assert await stage.begin(stage.actor) is None
    assert await stage.builds(stage.actor) == before
    await stage.until_idle()


@at_each(START)
async def test_a_build_ends_once_and_whole_after_a_death_when(stage: Stage, step: str):
    before = await stage.builds(stage.actor)
    async with stage.server.dying_at(step):
        await stage.begin(stage.actor)
    newest, *earlier = await stage.builds(stage.actor)
    assert [build["id"] for build in earlier] == [build["id"] for build in before]
    build = await stage.ended(newest["id"])
    assert (build["status"], build["exitCode"]) == ("SUCCEEDED", 0)
    log = await stage.api.logged(build["id"])
    assert log.count("a step") == 1
    assert log[-1].startswith("Built in ")
    assert await stage.tagged(stage.actor) == build["id"]
    await stage.until_idle()


async def test_a_build_that_a_server_died_over_can_be_run(stage: Stage):
    async with stage.server.dying_at(START["a step is under way"]):
        await stage.begin(stage.actor)
    newest = (await stage.builds(stage.actor))[0]
    assert (await stage.ended(newest["id"]))["status"] == "SUCCEEDED"
    run = (await stage.api.post(f"/v2/acts/{stage.actor}/runs?waitForFinish=20", params=SMALL)).data
    assert (run["status"], run["buildId"]) == ("SUCCEEDED", newest["id"])
    assert await stage.api.logged(run["id"]) == ["made"]
    await stage.until_idle()


@at_each(ABORT)
async def test_an_aborted_build_ends_as_aborted_after_a_death_when(stage: Stage, step: str):
    begun = await stage.begin(stage.endless)
    assert begun is not None
    await stage.api.until_logged(begun["id"], "a step")
    async with stage.server.dying_at(step):
        await cut_off(stage.api.post(f"/v2/actor-builds/{begun['id']}/abort"))
    assert (await stage.ended(begun["id"]))["status"] == "ABORTED"
    actor = (await stage.api.get(f"/v2/acts/{stage.endless}")).data
    assert "latest" not in (actor.get("taggedBuilds") or {})
    await stage.until_idle()


async def test_a_deleted_build_stays_deleted(stage: Stage):
    build = (await stage.builds(stage.actor))[-1]
    async with stage.server.dying_at(FILES_REMOVED):
        assert await cut_off(stage.api.delete(f"/v2/actor-builds/{build['id']}")) is None
    assert (await stage.api.get(f"/v2/actor-builds/{build['id']}")).status == 404
