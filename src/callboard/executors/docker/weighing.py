"""What a container has written: to its own layer, and to volumes that its image asks for, which no engine limits."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from callboard.executors.docker.engine import Engine, path_of
from callboard.executors.launcher.runners import own_program


async def written_bytes(engine: Engine, container_id: str, volumes: Sequence[str]) -> int:
    """Raises EngineGone, EngineRefused. Volumes that are not on this machine count as empty."""
    path = path_of("containers", container_id, "json")
    seen: dict[str, Any] = await engine.ask("GET", path, params={"size": "1"})
    return int(seen.get("SizeRw") or 0) + (await _measured(volumes) if volumes else 0)


async def _measured(folders: Sequence[str]) -> int:
    """By a process of its own, as there may be a great many files."""
    process = await asyncio.create_subprocess_exec(
        *own_program("callboard.executors.launcher.namespaces.measure"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={},
    )
    try:
        question = json.dumps([(folder, []) for folder in folders]).encode()
        answer, _ = await process.communicate(question)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return sum(json.loads(answer)) if process.returncode == 0 else 0
