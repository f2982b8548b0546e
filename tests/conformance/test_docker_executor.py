"""What the Docker executor promises beyond the contract: networks, engines that go away, leftovers."""

import asyncio
import io
import os
import signal
import socket
import tarfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from callboard.executors.base import ExitCause, LaunchSpec
from callboard.executors.docker.engine import Engine
from callboard.executors.docker.executor import DockerExecutor, DockerFailed, Options
from tests.engines import ContainerEngine

from .conftest import Maker, Stage, Watcher

pytestmark = pytest.mark.xdist_group("docker")


@pytest.fixture(scope="session")
def make_executor(dockerd: ContainerEngine, python_image: str, api_port: int) -> Maker:
    options = Options(dockerd.url, api_port)
    return Maker(lambda folder: DockerExecutor(folder, options), python_image)


async def asked(dockerd: ContainerEngine, path: str) -> Any:
    async with Engine(dockerd.url) as engine:
        return await engine.ask("GET", path)


async def test_a_job_reaches_the_api_and_nothing_else_near_it(stage: Stage):
    if stage.executor.rungs()["network"] != "docker-bridge+nftables":
        pytest.skip("this machine cannot load nftables rules, which is what this test is about")
    gateway = stage.executor.gateway_address
    other = stage.spec("serves.py", "0.0.0.0", "4321", "hello")
    handle = await stage.executor.start(other)
    await stage.until_logged(other, "listening")
    with socket.create_server(("0.0.0.0", 0)) as service:
        closed = [
            f"{gateway}:{service.getsockname()[1]}",
            f"{handle['address']}:4321",
            "169.254.169.254:80",
        ]
        targets = [stage.executor.api_address, *closed]
        _, log = await stage.run(stage.spec("reaches.py", *targets))
    await stage.executor.stop(handle)
    assert log[0] == f"{targets[0]} reached"
    assert [line.split()[:2] for line in log[1:]] == [[target, "refused"] for target in closed]


async def test_a_job_runs_without_rights_to_gain_or_keep(stage: Stage):
    script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; id -u; ulimit -c"
    _, log = await stage.run(stage.spec("/bin/sh", "-c", script))
    assert [line.split()[-1] for line in log] == ["0" * 16, "0" * 16, "1", "2", "64484", "0"]


class SmallDisk(LaunchSpec):
    """The engine of the tests keeps files in memory, so the limit of that must not come first."""

    @property
    def disk_mbytes(self) -> int:
        return 32


async def test_a_job_that_keeps_too_many_files_is_stopped(stage: Stage):
    spec = stage.spec("fills_disk.py", "files", "/tmp", memory_mbytes=1024)
    small = SmallDisk(**{field.name: getattr(spec, field.name) for field in fields(spec)})
    end, log = await stage.run(small)
    assert end.cause is ExitCause.OUT_OF_DISK
    assert log[-1] == "ACTOR: Disk limit of 32 MB exceeded, the job was stopped."


VOLUME = b"FROM %s\nUSER root\nRUN mkdir -m 777 /data\nVOLUME /data\n"


async def volume_image(engine: Engine, base: str) -> str:
    """An image that asks for a volume, which anybody may write to."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry, content = tarfile.TarInfo("Dockerfile"), VOLUME % base.encode()
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    params = {"t": "callboard/volume:latest", "networkmode": "none"}
    async with engine.answer("POST", "/build", params=params, body=packed.getvalue()) as answer:
        assert b'"aux"' in await answer.read()
    return params["t"]


async def test_files_in_a_volume_of_the_image_count_and_go_with_the_job(
    stage: Stage, dockerd: ContainerEngine
):
    async with Engine(dockerd.url) as engine:
        image = await volume_image(engine, stage.image or "")
    spec = stage.spec("fills_disk.py", "files", "/data", memory_mbytes=1024, image=image)
    small = SmallDisk(**{field.name: getattr(spec, field.name) for field in fields(spec)})
    handle = await stage.executor.start(small)
    assert (await stage.wait(handle)).cause is ExitCause.OUT_OF_DISK
    assert (await asked(dockerd, "/volumes"))["Volumes"]
    await stage.executor.forget(handle)
    await stage.executor.close(stop_jobs=False)  # what is removed in the background has been
    await stage.executor.open(stage.watcher)
    assert not (await asked(dockerd, "/volumes"))["Volumes"]


async def test_a_forgotten_jobs_container_is_removed(own_stage: Stage, dockerd: ContainerEngine):
    spec = own_stage.spec("/bin/true")
    handle = await own_stage.executor.start(spec)
    await own_stage.wait(handle)
    await own_stage.executor.forget(handle)
    await own_stage.executor.close(stop_jobs=False)
    listed = await asked(dockerd, "/containers/json?all=1")
    assert spec.job_id not in [one["Labels"].get("callboard.job") for one in listed]
    await own_stage.executor.open(own_stage.watcher)


async def test_a_container_that_somebody_removes_makes_a_lost_job(
    own_stage: Stage, dockerd: ContainerEngine
):
    spec = own_stage.spec("/bin/sleep", "60")
    handle = await own_stage.executor.start(spec)
    async with Engine(dockerd.url) as engine:
        name = f"callboard-{instance(own_stage)}-{spec.job_id}"
        await engine.ask("DELETE", f"/containers/{name}", params={"force": "1"})
    end = await own_stage.wait(handle)
    assert end.cause in (ExitCause.LOST, ExitCause.EXITED)


async def test_a_container_that_is_only_labelled_like_a_jobs_changes_nothing(
    own_stage: Stage, dockerd: ContainerEngine, make_executor: Maker
):
    spec = own_stage.spec("/bin/sh", "-c", "sleep 1; exit 3")
    handle = await own_stage.executor.start(spec)
    await own_stage.executor.close(stop_jobs=False)
    labels = {"callboard.instance": instance(own_stage), "callboard.job": spec.job_id}
    body = {"Image": own_stage.image, "Entrypoint": ["true"], "Labels": labels}
    async with Engine(dockerd.url) as engine:
        # As of a build whose Dockerfile says so, and which goes on while a server starts.
        other = (await engine.ask("POST", "/containers/create", body=body))["Id"]
        own_stage.executor = make_executor(own_stage.data_dir)
        await own_stage.executor.open(Watcher())
        assert (await own_stage.wait(handle)).exit_code == 3
        await engine.ask("DELETE", f"/containers/{other}")


async def test_a_timeout_that_passes_without_a_server_is_enforced_by_the_next(
    own_stage: Stage, make_executor: Maker
):
    spec = own_stage.spec("/bin/sleep", "60", timeout_secs=1)
    handle = await own_stage.executor.start(spec)
    await own_stage.executor.close(stop_jobs=False)
    await asyncio.sleep(1.2)  # in which nobody is there to look at the clock
    own_stage.executor = make_executor(own_stage.data_dir)
    await own_stage.executor.open(Watcher())
    assert (await own_stage.wait(handle)).cause is ExitCause.TIMEOUT


async def test_what_is_printed_without_a_server_is_in_the_log_once_one_is_back(
    own_stage: Stage, make_executor: Maker
):
    script = "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.25; done"
    spec = own_stage.spec("/bin/sh", "-c", script)
    handle = await own_stage.executor.start(spec)
    await own_stage.until_logged(spec, "line 2")
    await own_stage.executor.close(stop_jobs=False)
    await asyncio.sleep(0.8)  # in which lines are printed to nobody
    own_stage.executor = make_executor(own_stage.data_dir)
    await own_stage.executor.open(Watcher())
    assert (await own_stage.wait(handle)).exit_code == 0
    assert own_stage.log(spec) == [f"line {i}" for i in range(1, 9)]


async def test_a_network_that_cannot_be_made_is_said_to_be_the_reason(
    own_stage: Stage, dockerd: ContainerEngine
):
    name = instance(own_stage)
    await own_stage.executor.close(stop_jobs=True)
    bridge = {"com.docker.network.bridge.name": f"cb-{name}"}
    async with Engine(dockerd.url) as engine:
        body = {"Name": "of-another", "Driver": "bridge", "Options": bridge}
        await engine.ask("POST", "/networks/create", body=body)
        with pytest.raises(DockerFailed, match="bridge name"):
            await own_stage.executor.open(own_stage.watcher)
        await engine.ask("DELETE", "/networks/of-another")
    await own_stage.executor.open(own_stage.watcher)


async def test_a_spec_without_an_image_is_refused_in_words(stage: Stage):
    end, _ = await stage.run(replace(stage.spec("/bin/true"), image=None))
    assert end.cause is ExitCause.NOT_STARTED
    assert "build it again" in end.detail


async def test_an_image_that_is_gone_is_said_to_be_the_reason(stage: Stage):
    end, _ = await stage.run(replace(stage.spec("/bin/true"), image="callboard/nosuch:image"))
    assert end.cause is ExitCause.NOT_STARTED
    assert "no such image" in end.detail.lower()


async def test_jobs_of_an_engine_that_stops_for_a_while_go_on(
    stage: Stage, dockerd: ContainerEngine
):
    spec: LaunchSpec = stage.spec("/bin/sh", "-c", "echo begun; sleep 1; echo done")
    handle = await stage.executor.start(spec)
    await stage.until_logged(spec, "begun")
    os.kill(dockerd.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(1.5)  # the engine sees nothing of what happens meanwhile
    finally:
        os.kill(dockerd.pid, signal.SIGCONT)
    assert (await stage.wait(handle)).exit_code == 0
    assert stage.log(spec) == ["begun", "done"]


def instance(stage: Stage) -> str:
    return Path(stage.data_dir, "docker", "instance").read_text()
