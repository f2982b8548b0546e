"""`callboard up`: start everything."""

import os
from pathlib import Path
from typing import Annotated

import typer

from callboard import config
from callboard.cli.failures import run


def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything that is kept.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
) -> None:
    """Start the server. Ctrl+C stops it and its runs; SIGTERM stops it and leaves its runs going."""

    async def main() -> None:
        # Imported late: the server takes a second to import, which other commands need not pay.
        from callboard.cli.serving import serve_until_signal

        settings = config.load({"data_dir": data_dir, "host": host, "port": port}, os.environ)
        await serve_until_signal(settings)

    run(main())
