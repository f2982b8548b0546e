"""A server that starts one job and is killed: run as `dying_server.py DATA_DIR OPTIONS_JSON SPEC_JSON`."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from callboard.executors.base import Stats
from callboard.executors.launcher.protocol import spec_from_json
from callboard.executors.process import Options, ProcessExecutor


class Nobody:
    def log_grew(self, log_id: str) -> None: ...

    def stats(self, job_id: str, stats: Stats) -> None: ...


async def main() -> None:
    executor = ProcessExecutor(Path(sys.argv[1]), Options(**json.loads(sys.argv[2])))
    await executor.open(Nobody())
    await executor.start(spec_from_json(json.loads(sys.argv[3])))
    os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main())
