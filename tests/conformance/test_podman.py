"""Podman's socket in place of Docker's: what executors promise, and what the Docker executor promises beyond it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from callboard.executors.docker.engine import Engine, EngineRefused
from callboard.executors.docker.executor import DockerExecutor, Options
from callboard.executors.docker.network import close_network, open_network
from tests.engines import ContainerEngine
from tests.podman import IN_PLACE_OF_DOCKER

from . import test_docker_executor as beyond
from . import test_executors as promises
from .conftest import Maker, Stage

pytestmark = pytest.mark.xdist_group("podman")


@pytest.fixture(scope="session")
def make_executor(podman: ContainerEngine, podman_python_image: str, api_port: int) -> Maker:
    options = Options(podman.url, api_port)
    return Maker(
        lambda folder: DockerExecutor(folder, options),
        "callboard/base-python:latest",
        adds=("HOSTNAME", "TERM", "container"),
    )


# The tests themselves, of the parts in which engines differ. They find theirs in fixtures, which are others here.
SAME = [
    beyond.test_a_job_reaches_the_api_and_nothing_else_near_it,
    beyond.test_a_job_runs_without_rights_to_gain_or_keep,
    beyond.test_files_in_a_volume_of_the_image_count_and_go_with_the_job,
    beyond.test_a_network_that_cannot_be_made_is_said_to_be_the_reason,
    beyond.test_an_image_that_is_gone_is_said_to_be_the_reason,
    beyond.test_what_is_printed_without_a_server_is_in_the_log_once_one_is_back,
    promises.test_a_job_has_exactly_the_environment_it_was_given,
    promises.test_a_job_over_its_memory_is_killed_whole_and_its_log_says_so,
    promises.test_a_job_past_its_timeout_is_killed_and_its_log_says_so,
    promises.test_a_program_that_does_not_exist_is_not_started,
    promises.test_a_running_job_is_measured,
    promises.test_binary_output_and_endless_lines_are_kept,
    promises.test_starting_a_job_twice_runs_it_once,
    promises.test_stopping_gives_a_program_time_to_clean_up,
    promises.test_stopping_twice_and_after_the_end_is_harmless,
    promises.test_what_a_job_writes_to_an_overlay_is_its_own_and_thrown_away,
]
globals().update(IN_PLACE_OF_DOCKER | {test.__name__: test for test in SAME})


async def test_rules_of_a_network_that_others_removed_cut_off_no_later_one(
    own_stage: Stage, podman: ContainerEngine, make_executor: Maker, tmp_path: Path
):
    gone = make_executor.stage(tmp_path / "gone", tmp_path)
    (tmp_path / "gone").mkdir()
    await own_stage.executor.close(stop_jobs=True)
    await gone.executor.open(gone.watcher)
    await gone.executor.close(stop_jobs=False)
    async with Engine(podman.url) as engine:
        await engine.ask("DELETE", f"/networks/callboard-{beyond.instance(gone)}")
    await own_stage.executor.open(own_stage.watcher)
    assert own_stage.executor.gateway_address == gone.executor.gateway_address
    target = own_stage.executor.api_address
    _, log = await own_stage.run(own_stage.spec("reaches.py", target))
    assert log == [f"{target} reached"]
    await gone.executor.open(gone.watcher)  # has a network anew
    target = gone.executor.api_address
    _, log = await gone.run(gone.spec("reaches.py", target))
    assert log == [f"{target} reached"]
    await gone.executor.close(stop_jobs=True)


@asynccontextmanager
async def refusing(
    engine: ContainerEngine, path: str, refusals: list[str], at: Path
) -> AsyncIterator[str]:
    """A way to an engine on which the first requests to a path are refused: with these words, one each."""

    async def pass_on(request: web.Request) -> web.Response:
        if request.path.endswith(path) and refusals:
            return web.json_response({"message": refusals.pop()}, status=500)
        body = await request.read()
        url = request.url.with_host("engine").with_port(None)
        async with session.request(
            request.method, url, headers=request.headers, data=body
        ) as answer:
            return web.Response(
                status=answer.status, content_type=answer.content_type, body=await answer.read()
            )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", pass_on)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(at)).start()
    connector = aiohttp.UnixConnector(engine.url.removeprefix("unix://"))
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield f"unix://{at}"
    finally:
        await runner.cleanup()


COMES_OR_GOES = "route ip+net: no such network interface"
"""Podman's words when interfaces change while it lists them: once in hundreds, on a machine that starts many runs."""


@pytest.mark.parametrize(("times", "is_made"), [(9, True), (10, False)])
async def test_a_network_is_made_while_other_interfaces_come_and_go(
    podman: ContainerEngine, tmp_path: Path, times: int, is_made: bool
):
    refusals = [COMES_OR_GOES] * times
    async with (
        refusing(podman, "/networks/create", refusals, tmp_path / "way") as url,
        Engine(url) as engine,
    ):
        if is_made:
            network = await open_network(engine, "0c0f0e", api_port=1, allow_local=False)
            assert network.name == "callboard-0c0f0e"
            await close_network(engine, "0c0f0e")
        else:
            with pytest.raises(EngineRefused, match="no such network interface"):
                await open_network(engine, "0c0f0e", api_port=1, allow_local=False)
    assert not refusals
