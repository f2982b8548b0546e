"""`callboard doctor`: what isolation this machine offers and why, and what is missing for more.

The launcher is started in a folder of its own and asked, so what is shown is what a server would get.
"""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from callboard import config
from callboard.cli.columns import show_columns
from callboard.cli.failures import run
from callboard.cli.machine import (
    TOOLS,
    available_memory_mbytes,
    engine_version,
    existing_part,
    tool_version,
    why_not_writable,
)
from callboard.config import Settings

_PARTS = {
    "filesystem": "what an Actor sees of this machine's files and processes",
    "user": "the user an Actor runs as",
    "source": "how each run gets its own copy of the Actor's files",
    "network": "what a run's network is made of",
    "memory": "what holds a run to its memory",
    "cpu": "what shares the processors out",
    "pids": "what bounds the number of a run's processes",
    "kill": "how a run is ended with all its processes",
    "disk": "what holds a run to its disk space",
    "syscalls": "which system calls an Actor may make",
}
_WEAK = {"none", "host", "process-group", "watchdog (soft)", "rlimit", "all"}


@dataclass(frozen=True)
class Report:
    """What was found. `problems` are what keeps Actors from being run at all."""

    rungs: Mapping[str, str]
    notes: tuple[str, ...]
    tools: Mapping[str, str | None]
    engine: str | None
    """What answers at the container engine's address."""
    data_dir: str
    free_disk_mbytes: int
    memory_mbytes: int
    available_memory_mbytes: int | None
    processors: int
    problems: tuple[str, ...]


def doctor(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what isolation this machine offers and why. Exit code 1 when Actors could not be run."""

    async def main() -> None:
        settings = config.load({"data_dir": data_dir}, os.environ)
        report = await examine(settings)
        if as_json:
            print(json.dumps(asdict(report), indent=2))
        else:
            _show(report)
        if report.problems:
            raise SystemExit(1)

    run(main())


async def examine(settings: Settings) -> Report:
    """Takes about a second. Leaves nothing behind."""
    from callboard.executors.docker.engine import default_url
    from callboard.jobs.machine import machine_memory_mbytes

    url = settings.docker_url or default_url(os.environ)
    (rungs, notes, failure), versions, engine = await asyncio.gather(
        _isolation(settings), asyncio.gather(*map(tool_version, TOOLS)), engine_version(url)
    )
    folder = existing_part(settings.data_dir)
    return Report(
        rungs=rungs,
        notes=notes,
        engine=engine,
        tools={tool.name: version for tool, version in zip(TOOLS, versions, strict=True)},
        data_dir=str(settings.data_dir),
        free_disk_mbytes=shutil.disk_usage(folder).free // 2**20,
        memory_mbytes=settings.memory_limit_mbytes or machine_memory_mbytes(),
        available_memory_mbytes=available_memory_mbytes(),
        processors=os.cpu_count() or 1,
        problems=tuple(_problems(settings, rungs, failure)),
    )


async def _isolation(settings: Settings) -> tuple[Mapping[str, str], tuple[str, ...], str]:
    """Rungs, notes, and why there is neither."""
    from callboard.backends import choose
    from callboard.executors.docker.executor import DockerFailed
    from callboard.executors.process import LauncherFailed

    with tempfile.TemporaryDirectory(prefix="callboard-doctor-") as folder:
        backends = choose(settings, Path(folder), api_port=_free_port())
        try:
            await backends.open(_Nobody())
        except LauncherFailed as error:
            return {}, (), f"The launcher of runs cannot be started: {error}"
        except DockerFailed as error:
            return {}, (), f"The container engine cannot be used: {error}"
        try:
            return backends.runs.rungs(), backends.runs.notes, ""
        finally:
            await backends.close(stop_jobs=True)


def _free_port() -> int:
    """As a server has one: networks of runs are judged by whether they reach it."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class _Nobody:
    """Nothing is run here, so there is nothing to hear."""

    def log_grew(self, log_id: str) -> None: ...

    def stats(self, job_id: str, stats: object) -> None: ...


def _problems(settings: Settings, rungs: Mapping[str, str], failure: str) -> list[str]:
    problems: list[str] = []
    if failure:
        problems.append(failure)
    if rungs.get("filesystem") == "none" and not settings.allow_unsandboxed:
        problems.append(
            "There is no sandbox here, so no Actor is run. Install bubblewrap, or set "
            "CALLBOARD_ALLOW_UNSANDBOXED=1 if you trust every Actor."
        )
    if reason := why_not_writable(settings.data_dir):
        problems.append(f"The data folder {settings.data_dir} cannot be written: {reason}.")
    return problems


def _show(report: Report) -> None:
    print("Isolation of runs")
    show_columns((part, _rated(rung), _PARTS.get(part, "")) for part, rung in report.rungs.items())
    for note in report.notes:
        print(f"  {note}")
    print("\nPrograms")
    show_columns((tool.name, report.tools[tool.name] or "-", tool.use) for tool in TOOLS)
    print(f"\nContainer engine\n  {report.engine or 'none answers'}")
    print("\nMachine")
    available = report.available_memory_mbytes
    free_now = "" if available is None else f"; {available} MB are free now"
    show_columns(
        [
            ("processors", str(report.processors)),
            ("memory", f"{report.memory_mbytes} MB for runs and builds{free_now}"),
            ("data", f"{report.data_dir}, {report.free_disk_mbytes} MB free"),
        ]
    )
    print()
    print("\n".join(report.problems or ("Actors can be run.",)))


def _rated(rung: str) -> str:
    return f"{rung} (weak)" if rung in _WEAK else rung
