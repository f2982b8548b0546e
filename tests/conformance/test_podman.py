"""Podman's socket in place of Docker's: what executors promise, and what the Docker executor promises beyond it."""

from pathlib import Path

import pytest

from callboard.executors.docker.engine import Engine
from callboard.executors.docker.executor import DockerExecutor, Options
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
