"""`callboard up`: start everything."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from callboard import config
from callboard.app import Callboard
from callboard.cli import serving
from callboard.config import Settings


def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything that is kept.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Start the server. Ctrl+C stops it and its runs; SIGTERM stops it and leaves its runs going."""

    async def main() -> None:
        settings = config.load({"data_dir": data_dir, "host": host, "port": port}, os.environ)
        serving.configure_logging(settings.log_level)
        await serving.serve(
            settings, lambda server, stopped: _until_signal(settings, server, stopped)
        )

    serving.run(main)


async def _until_signal(settings: Settings, server: Callboard, stopped: asyncio.Event) -> bool:
    print(banner(settings, server), flush=True)
    received = await serving.first_signal(stopped)
    return received is not signal.SIGTERM


def banner(settings: Settings, server: Callboard) -> str:
    rungs = ", ".join(f"{part}: {rung}" for part, rung in server.executor.rungs().items())
    lines = [
        f"Callboard is ready at {server.url}",
        f"  token    {settings.data_dir / 'token'}",
        f"  data     {settings.data_dir}",
        f"  sandbox  {rungs}",
        *(f"  note     {note}" for note in server.executor.notes),
        "  clients  run `callboard env` for what to set",
    ]
    return "\n".join(lines)
