"""Executors under test, and jobs to give them."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from callboard.executors.base import Executor, Exit, Handle, LaunchSpec, Mount, Stats
from callboard.executors.docker.executor import DockerExecutor
from callboard.executors.docker.executor import Options as DockerOptions
from callboard.executors.launcher.runners import NAMESPACES
from callboard.executors.process import Options, ProcessExecutor
from tests.engines import ContainerEngine

PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Watcher:
    """An observer that remembers, and can be waited for."""

    grown: list[str] = field(default_factory=list)
    samples: dict[str, Stats] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def log_grew(self, log_id: str) -> None:
        self.grown.append(log_id)
        self._changed.set()

    def stats(self, job_id: str, stats: Stats) -> None:
        self.samples[job_id] = stats
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Stage:
    """An open executor and a folder for logs, with short ways to run the programs of this folder."""

    executor: Executor
    watcher: Watcher
    data_dir: Path
    work: Path
    image: str | None = None
    """What jobs are run in, where the executor needs one."""
    adds: tuple[str, ...] = ()
    """Variables that every job has besides its own."""
    _count: int = 0

    def spec(self, program: str, *args: str, **changes: Any) -> LaunchSpec:
        """A job that runs a program of `programs/`, or with a `/` in its name any command."""
        self._count += 1
        job_id = f"job-{self.work.name[-20:]}-{self._count}-{os.urandom(3).hex()}"
        python, mounts = self._python()
        command = (program,) if "/" in program else (python, "-I", "-S", f"/programs/{program}")
        spec = LaunchSpec(
            job_id=job_id,
            argv=(*command, *args),
            image=self.image,
            env={"PATH": "/usr/bin:/bin", "HOME": "/home/actor"},
            cwd="/tmp",
            log_path=self.work / f"{job_id}.log",
            log_id=job_id,
            memory_mbytes=128,
            cpus=1,
            mounts=(Mount(PROGRAMS, "/programs"), *mounts),
        )
        return replace(spec, **changes)

    def _python(self) -> tuple[str, tuple[Mount, ...]]:
        """The image's own, else this machine's."""
        if self.image is not None:
            return "/usr/bin/python3", ()
        python = shutil.which("python3", path=f"{sys.base_prefix}/bin") or sys.executable
        return python, (Mount(Path(sys.base_prefix), sys.base_prefix),)

    async def run(self, spec: LaunchSpec) -> tuple[Exit, list[str]]:
        """Run to the end: how it ended, and its log without timestamps."""
        end = await self.wait(await self.executor.start(spec))
        return end, self.log(spec)

    async def wait(self, handle: Handle) -> Exit:
        async with asyncio.timeout(30):
            return await self.executor.wait(handle)

    def log(self, spec: LaunchSpec) -> list[str]:
        text = spec.log_path.read_bytes().lstrip(b"\0").decode(errors="replace")
        return [line.partition(" ")[2] for line in text.splitlines()]

    async def until_logged(self, spec: LaunchSpec, text: str) -> None:
        await self.watcher.until(lambda: spec.log_path.exists() and text in self.log(spec))


@pytest.fixture(scope="session")
def api_port() -> Iterator[int]:
    """A port of this machine that answers, as the internal API would."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@dataclass(frozen=True)
class Maker:
    """Makes an executor of one kind for a data folder, and knows what jobs for it need."""

    make: Callable[[Path], Executor]
    image: str | None = None
    adds: tuple[str, ...] = ()

    def __call__(self, folder: Path) -> Executor:
        return self.make(folder)

    def stage(self, data_dir: Path, work: Path) -> Stage:
        return Stage(self.make(data_dir), Watcher(), data_dir, work, self.image, self.adds)


@pytest.fixture(scope="session", params=["process", "process-namespaces", "docker"])
def make_executor(request: pytest.FixtureRequest, api_port: int) -> Maker:
    """Each kind of executor is one parameter."""
    if request.param == "docker":
        engine: ContainerEngine = request.getfixturevalue("dockerd")
        options = DockerOptions(engine.url, api_port=api_port)
        image: str = request.getfixturevalue("python_image")
        return Maker(lambda folder: DockerExecutor(folder, options), image)
    sandbox = {"sandbox": NAMESPACES} if request.param == "process-namespaces" else {}
    process = Options(api_port=api_port, **sandbox)
    return Maker(lambda folder: ProcessExecutor(folder, process))


@pytest.fixture(scope="module")
async def shared(
    make_executor: Maker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """One executor for many tests; closed, with all its jobs, after the last."""
    folder = tmp_path_factory.mktemp("executor")
    stage = make_executor.stage(folder, folder)
    await stage.executor.open(stage.watcher)
    yield stage
    await stage.executor.close(stop_jobs=True)


@pytest.fixture
def stage(shared: Stage, tmp_path: Path) -> Stage:
    return replace(shared, work=tmp_path)


@pytest.fixture
async def own_stage(make_executor: Maker, tmp_path: Path) -> AsyncIterator[Stage]:
    """An executor of the test's own, to be mistreated."""
    stage = make_executor.stage(tmp_path / "data", tmp_path)
    (tmp_path / "data").mkdir()
    await stage.executor.open(stage.watcher)
    yield stage
    await stage.executor.close(stop_jobs=True)
