"""`callboard demo`: the whole way from sources to an output, on a server that leaves nothing behind.

The server is a real one and everything is asked of it over HTTP, so what works here works for any client.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from callboard import config
from callboard.cli.failures import CommandFailed, run
from callboard.cli.samples import sample_folder, source_files
from callboard.config import Settings

if TYPE_CHECKING:
    from callboard.cli.public_api import PublicApi

SAMPLE = "python-sdk"
RUN_INPUT = {"text": "All the world is a stage, and all the men and women merely players."}
TASK_INPUT = {"text": "To be or not to be, that is the question.", "minLength": 3}
_VERSION = "0.1"
_LOG_TAIL_LINES = 20


def demo() -> None:
    """Push, build and run a sample Actor on a throwaway server, and show its output."""
    received: list[signal.Signals] = []

    async def main() -> None:
        with suppress(asyncio.CancelledError), _cancelled_by_signals(received):
            await _demo(Console(highlight=False, markup=False))

    run(main())
    if received:
        raise SystemExit(128 + received[0])


@contextmanager
def _cancelled_by_signals(received: list[signal.Signals]) -> Generator[None]:
    """The first signal cancels this coroutine; later ones do not disturb its cleaning up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def on_signal(which: signal.Signals) -> None:
        if not received and task:
            received.append(which)
            task.cancel()

    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, on_signal, which)
    yield


async def _demo(console: Console) -> None:
    # Imported late: the server takes a second to import, which other commands need not pay.
    from callboard.app import Callboard
    from callboard.cli import serving

    files = source_files(sample_folder(SAMPLE))
    steps = Steps(console)
    with tempfile.TemporaryDirectory(prefix="callboard-demo-") as folder:
        settings = _settings(Path(folder) / "data")
        serving.configure_logging(settings.log_level)
        starting = steps.begin("Start a server")

        async def while_serving(callboard: Callboard, _: asyncio.Event) -> bool:
            from callboard.cli.public_api import PublicApi

            starting.end(callboard.url)
            token = (settings.data_dir / "token").read_text().strip()
            async with PublicApi(callboard.url, token) as api:
                await _from_sources_to_output(api, files, steps)
            return True

        await serving.serve(settings, while_serving)
    console.print(steps.table())


def _settings(data_dir: Path) -> Settings:
    """Independent of the server that this machine may be set up for, but for its operator's trust in Actors."""
    trust = config.load({}, os.environ).allow_unsandboxed
    return Settings(data_dir=data_dir, port=0, log_level="error", allow_unsandboxed=trust)


async def _from_sources_to_output(
    api: "PublicApi", files: list[dict[str, Any]], steps: "Steps"
) -> None:
    async with steps.step("Push an Actor") as step:
        version = {"versionNumber": _VERSION, "sourceType": "SOURCE_FILES", "sourceFiles": files}
        body = {"name": "word-count", "versions": [{**version, "buildTag": "latest"}]}
        actor = await api.data("POST", "/v2/acts", json=body)
        step.outcome = f"{len(files)} files"
    async with steps.step("Build it") as step:
        build = await _build(api, actor["id"], step)
        step.outcome = f"build {build['buildNumber']}"
    async with steps.step("Run it synchronously") as step:
        output = await api.call("POST", f"/v2/acts/{actor['id']}/run-sync", json=RUN_INPUT)
        step.outcome = json.dumps(output)
    async with steps.step("Save it as a task") as step:
        body = {"actId": actor["id"], "name": "count-long-words", "input": TASK_INPUT}
        task = await api.data("POST", "/v2/actor-tasks", json=body)
        step.outcome = task["name"]
    async with steps.step("Run the task synchronously") as step:
        output = await api.call("GET", f"/v2/actor-tasks/{task['id']}/run-sync")
        step.outcome = json.dumps(output)


async def _build(api: "PublicApi", actor_id: str, step: "Step") -> dict[str, Any]:
    """The finished build. Raises CommandFailed with the end of its log."""
    build = await api.data("POST", f"/v2/acts/{actor_id}/builds?version={_VERSION}")
    async with api.lines(f"/v2/logs/{build['id']}?stream=1&raw=1") as log:
        async for line in log:
            step.tell(line.decode(errors="replace").strip())
    build = await api.data("GET", f"/v2/actor-builds/{build['id']}?waitForFinish=60")
    if build["status"] != "SUCCEEDED":
        lines = (await api.text(f"/v2/logs/{build['id']}")).splitlines()[-_LOG_TAIL_LINES:]
        raise CommandFailed("\n".join([f"The build ended as {build['status']}.", *lines]))
    return build


class Step:
    """One part of the demo, timed. `tell` shows what it is at, where somebody is looking."""

    def __init__(self, console: Console, name: str) -> None:
        self.name = name
        self.outcome = ""
        self.secs = 0.0
        self._console = console
        self._since = time.perf_counter()
        self._status = console.status(name)
        self._status.start()

    def tell(self, line: str) -> None:
        room = max(20, self._console.width - len(self.name) - 8)
        self._status.update(f"{self.name}: {line[:room]}")

    def end(self, outcome: str) -> None:
        self.outcome = outcome
        self.secs = time.perf_counter() - self._since
        self._status.stop()
        self._console.print(f"{self.name}: {outcome}", soft_wrap=True)

    def leave(self) -> None:
        self._status.stop()


class Steps:
    """What was done so far, in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: list[Step] = []

    def begin(self, name: str) -> Step:
        step = Step(self._console, name)
        self._steps.append(step)
        return step

    @asynccontextmanager
    async def step(self, name: str) -> AsyncGenerator[Step]:
        step = self.begin(name)
        try:
            yield step
            step.end(step.outcome)
        finally:
            step.leave()

    def table(self) -> Table:
        table = Table("Step", "Seconds", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for step in self._steps:
            table.add_row(step.name, f"{step.secs:.2f}")
        return table
