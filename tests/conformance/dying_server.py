"""A server that takes one job from start to end and dies at a step of that (see `tests.deaths`).

`dying_server.py KIND DATA_DIR OPTIONS_JSON SPEC_JSON STEP [IMAGE]`
"""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from callboard.executors.base import Stats
from callboard.executors.docker.executor import DockerExecutor
from callboard.executors.docker.executor import Options as DockerOptions
from callboard.executors.launcher.protocol import spec_from_json
from callboard.executors.process import Options, ProcessExecutor
from tests import deaths


class Nobody:
    def log_grew(self, log_id: str) -> None: ...

    def stats(self, job_id: str, stats: Stats) -> None: ...


async def main() -> None:
    kind, folder, options, text, step, *image = sys.argv[1:]
    if kind == "process":
        executor = ProcessExecutor(Path(folder), Options(**json.loads(options)))
    else:
        executor = DockerExecutor(Path(folder), DockerOptions(**json.loads(options)))
    await executor.open(Nobody())
    spec = replace(spec_from_json(json.loads(text)), image=image[0] if image else None)
    deaths.lay([step])
    handle = await executor.start(spec)
    await executor.wait(handle)
    await executor.forget(handle)


asyncio.run(main())
