"""Starts of a program in its sandbox, by the launcher alone, against the same program as a bare process."""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.plan import Plan
from bench.report import Goal, Result
from bench.server import Server, clean_environment
from bench.timing import interleaved
from callboard.executors.base import LaunchSpec, Mount, MountMode, Stats
from callboard.executors.launcher.runners import BUBBLEWRAP, NAMESPACES
from callboard.executors.process import Options, ProcessExecutor

_JOB = 'import json; print(json.dumps({"sum": sum(range(11))}))\n'
_PYTHON = (os.path.realpath(sys.executable), "-S")
"""Without what is installed for it: hooks of such packages can double the time of a start, on both sides."""
_GOALS = {BUBBLEWRAP: Goal(1.7), NAMESPACES: None}
_PAUSE_SECS = 0.1
"""Between two starts, in which the launcher prepares places for the next: what a server that is not flooded has."""


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    for rung, goal in _GOALS.items():
        with tempfile.TemporaryDirectory(prefix="callboard-bench-") as name:
            folder = Path(name)
            (folder / "app").mkdir()
            (folder / "app" / "job.py").write_text(_JOB)
            with asyncio.Runner() as runner:
                yield from _rung(folder, rung, goal, plan, runner)


def _rung(
    folder: Path, rung: str, goal: Goal | None, plan: Plan, runner: asyncio.Runner
) -> Iterator[Result]:
    with socket.create_server(("0.0.0.0", 0)) as api:
        executor = ProcessExecutor(folder, Options(api_port=api.getsockname()[1], sandbox=rung))
        runner.run(executor.open(_Nobody()))
        try:
            if executor.rungs()["filesystem"] != rung:
                return
            pair = interleaved(
                plan.rounds(60),
                {"sandboxed": _sandboxed(executor, folder, runner), "B": lambda: _bare(folder)},
                between=lambda: runner.run(asyncio.sleep(_PAUSE_SECS)),
            )
        finally:
            runner.run(executor.close(stop_jobs=True))
    ratio = pair["sandboxed"].p50 / pair["B"].p50
    yield Result(f"fresh start in a sandbox, {rung} / B", ratio, "x", goal, pair)


def _sandboxed(
    executor: ProcessExecutor, folder: Path, runner: asyncio.Runner
) -> Callable[[], None]:
    numbers = itertools.count()

    async def start() -> None:
        spec = _spec(folder, next(numbers))
        handle = await executor.start(spec)
        end = await executor.wait(handle)
        if end.exit_code != 0:
            raise RuntimeError(f"{end}: {spec.log_path.read_text()}")

    return lambda: runner.run(start())


def _spec(folder: Path, number: int) -> LaunchSpec:
    prefix = Path(sys.base_prefix)
    shown = () if prefix.is_relative_to("/usr") else (Mount(prefix, str(prefix)),)
    return LaunchSpec(
        job_id=f"job-{number}",
        argv=(*_PYTHON, "job.py"),
        env={"PATH": os.defpath, "HOME": "/home/actor"},
        cwd="/usr/src/app",
        log_path=folder / f"{number}.log",
        log_id=str(number),
        memory_mbytes=256,
        cpus=1,
        mounts=(*shown, Mount(folder / "app", "/usr/src/app", MountMode.OVERLAY)),
    )


def _bare(folder: Path) -> None:
    subprocess.run(
        [*_PYTHON, "job.py"],
        env=clean_environment(),
        cwd=folder / "app",
        capture_output=True,
        check=True,
        start_new_session=True,
    )


class _Nobody:
    def log_grew(self, log_id: str) -> None: ...

    def stats(self, job_id: str, stats: Stats) -> None: ...
