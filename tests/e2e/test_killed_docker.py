"""A server that runs containers and is killed at some of the steps of a run, or while it builds an image."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.engines import ContainerEngine
from tests.mortality import MortalServer, at_each, cut_off
from tests.server import Client

pytestmark = pytest.mark.xdist_group("docker")

DOCKER = "callboard.executors.docker.executor:DockerExecutor"
SUPERVISOR = "callboard.runs.supervisor"
START = {
    "its launch is prepared": "callboard.jobs.launches:Launches.run before",
    "its container is started": f"{DOCKER}.start after",
    "its end is recorded": f"{SUPERVISOR}:record after",
}
ABORTING = "callboard.runs.service:RunService._stop before"
REBOOTED = f"{SUPERVISOR}:record after"
BUILDING = "callboard.jobs.observer:JobObserver.log_grew before"
STEPS = sorted({*START.values(), ABORTING, REBOOTED, BUILDING})

DOCKERFILE = 'FROM apify/actor-python:3.11\nCOPY main.sh ./\nCMD ["sh", "main.sh"]\n'
SMALL = {"memory": 128}


@dataclass
class Stage:
    server: MortalServer
    api: Client
    works: str
    sleeps: str

    async def newest(self, path: str) -> dict[str, Any]:
        """The newest run or build, once it is over."""
        one = (await self.api.get(path, params={"desc": 1, "limit": 1})).data["items"][0]
        kind = "actor-builds" if path.endswith("/builds") else "actor-runs"
        return (await self.api.get(f"/v2/{kind}/{one['id']}", params={"waitForFinish": 30})).data

    async def sleeping(self) -> str:
        """Id of a run that has begun to print."""
        reply = await self.api.post(f"/v2/acts/{self.sleeps}/runs", params=SMALL)
        run_id: str = reply.data["id"]
        await self.api.until_logged(run_id, "begun")
        return run_id


@pytest.fixture(scope="module")
def server(
    dockerd: ContainerEngine, python_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MortalServer]:
    folder = tmp_path_factory.mktemp("mortal") / "data"
    with closing(MortalServer(folder, STEPS, executor="docker", docker_url=dockerd.url)) as one:
        yield one.start()


@pytest.fixture(scope="module")
async def stage(server: MortalServer) -> AsyncIterator[Stage]:
    async with Client(server.url, server.token, "admin") as api:
        maker = ActorMaker(api)
        scripts = ("echo begun; sleep 0.3; echo done", "echo begun; sleep 600")
        actors = [
            (await maker.built({"Dockerfile": DOCKERFILE, "main.sh": script}))["id"]
            for script in scripts
        ]
        yield Stage(server, api, *actors)


@at_each(START)
async def test_a_run_ends_once_and_whole_after_a_death_when(stage: Stage, step: str):
    async with stage.server.dying_at(step):
        await cut_off(stage.api.post(f"/v2/acts/{stage.works}/runs", params=SMALL))
    run = await stage.newest("/v2/actor-runs")
    assert (run["status"], run["exitCode"]) == ("SUCCEEDED", 0)
    assert await stage.api.printed(run["id"]) == ["begun", "done"]


async def test_an_aborted_run_ends_as_aborted(stage: Stage):
    run_id = await stage.sleeping()
    async with stage.server.dying_at(ABORTING):
        await cut_off(stage.api.post(f"/v2/actor-runs/{run_id}/abort"))
    run = await stage.newest("/v2/actor-runs")
    assert (run["id"], run["status"]) == (run_id, "ABORTED")
    assert await stage.api.printed(run_id) == ["begun"]


async def test_a_reboot_starts_one_more_program(stage: Stage):
    run_id = await stage.sleeping()
    async with stage.server.dying_at(REBOOTED):
        await cut_off(stage.api.post(f"/v2/actor-runs/{run_id}/reboot"))
    await stage.api.until_logged(run_id, "begun", times=2)
    await stage.api.post(f"/v2/actor-runs/{run_id}/abort")
    assert (await stage.newest("/v2/actor-runs"))["status"] == "ABORTED"
    assert await stage.api.printed(run_id) == ["begun"] * 2


async def test_a_build_under_way_ends_once_and_whole(stage: Stage):
    async with stage.server.dying_at(BUILDING):
        path = f"/v2/acts/{stage.works}/builds"
        await cut_off(stage.api.post(path, params={"version": "0.0"}))
    build = await stage.newest(path)
    log = await stage.api.logged(build["id"])
    assert (build["status"], build["exitCode"]) == ("SUCCEEDED", 0), log
    assert "\n".join(log).count("Built in ") == 1
