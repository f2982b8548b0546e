"""`callboard doctor`: what isolation this machine offers and why, and what is missing for more.

The launcher is started in a folder of its own and asked, so what is shown is what a server would get.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from callboard import config
from callboard.cli.failures import run
from callboard.cli.machine import (
    TOOLS,
    available_memory_mbytes,
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
}
_WEAK = {"none", "host", "process-group", "watchdog (soft)", "rlimit"}


@dataclass(frozen=True)
class Report:
    """What was found. `problems` are what keeps Actors from being run at all."""

    rungs: Mapping[str, str]
    notes: tuple[str, ...]
    tools: Mapping[str, str | None]
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
    from callboard.app import machine_memory_mbytes

    (rungs, notes, failure), versions = await asyncio.gather(
        _isolation(settings), asyncio.gather(*map(tool_version, TOOLS))
    )
    folder = existing_part(settings.data_dir)
    return Report(
        rungs=rungs,
        notes=notes,
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
    from callboard.executors.process import LauncherFailed, Options, ProcessExecutor

    options = Options(
        allow_local_network=settings.allow_local_network,
        allow_unsandboxed=settings.allow_unsandboxed,
    )
    with tempfile.TemporaryDirectory(prefix="callboard-doctor-") as folder:
        executor = ProcessExecutor(Path(folder), options)
        try:
            await executor.open(_Nobody())
        except LauncherFailed as error:
            return {}, (), str(error)
        try:
            return executor.rungs(), executor.notes, ""
        finally:
            await executor.close(stop_jobs=True)


class _Nobody:
    """Nothing is run here, so there is nothing to hear."""

    def log_grew(self, log_id: str) -> None: ...

    def stats(self, job_id: str, stats: object) -> None: ...


def _problems(settings: Settings, rungs: Mapping[str, str], failure: str) -> list[str]:
    problems: list[str] = []
    if failure:
        problems.append(f"The launcher of runs cannot be started: {failure}")
    if rungs.get("filesystem") == "none" and not settings.allow_unsandboxed:
        problems.append(
            "There is no sandbox here, so no Actor is run. Install bubblewrap, or set "
            "CALLBOARD_ALLOW_UNSANDBOXED=1 if you trust every Actor."
        )
    if reason := why_not_writable(settings.data_dir):
        problems.append(f"The data folder {settings.data_dir} cannot be written: {reason}.")
    return problems


def _show(report: Report) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print("Isolation of runs")
    console.print(_isolation_table(report))
    for note in report.notes:
        console.print(f"  {note}")
    console.print("\nPrograms")
    console.print(_tools_table(report))
    available = report.available_memory_mbytes
    console.print("\nMachine")
    console.print(f"  processors  {report.processors}")
    console.print(
        f"  memory      {report.memory_mbytes} MB for runs and builds"
        + ("" if available is None else f", {available} MB available now")
    )
    console.print(f"  data        {report.data_dir}, {report.free_disk_mbytes} MB free")
    console.print()
    for problem in report.problems or ("Actors can be run.",):
        console.print(problem)


def _isolation_table(report: Report) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for part, rung in report.rungs.items():
        weak = "  (weak)" if rung in _WEAK else ""
        table.add_row(f"  {part}", rung + weak, _PARTS.get(part, ""))
    return table


def _tools_table(report: Report) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for tool in TOOLS:
        table.add_row(f"  {tool.name}", report.tools[tool.name] or "not installed", tool.use)
    return table
