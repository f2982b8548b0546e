"""Servers that take a job through its life, up to the step at which they are killed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from callboard.executors.base import LaunchSpec
from callboard.executors.docker.executor import DockerExecutor
from callboard.executors.launcher import protocol
from callboard.executors.process import ProcessExecutor

from .conftest import Stage

_ROOT = Path(__file__).parent.parent.parent


async def killed_at(
    step: str, stage: Stage, spec: LaunchSpec, environment: Mapping[str, str] | None = None
) -> None:
    """A server starts the job and is killed; the stage's own executor is another server, before and after."""
    executor = stage.executor
    assert isinstance(executor, ProcessExecutor | DockerExecutor)
    arguments = (
        *(executor.name, str(stage.data_dir)),
        *(json.dumps(asdict(executor.options)), json.dumps(protocol.spec_to_json(spec)), step),
        *([stage.image] if stage.image else []),
    )
    script = Path(__file__).with_name("dying_server.py")
    await executor.close(stop_jobs=False)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), *arguments),
        env={**os.environ, "PYTHONPATH": str(_ROOT), **(environment or {})},
    )
    async with asyncio.timeout(30):
        assert await server.wait() == -signal.SIGKILL
    await executor.open(stage.watcher)
