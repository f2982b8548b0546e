"""Running a server in this process until it is told to stop."""

import asyncio
import contextlib
import logging
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import TypeAlias

import structlog
import uvicorn

from callboard.app import Callboard, listen
from callboard.cli.failures import CommandFailed
from callboard.config import Settings
from callboard.datadir import DataDir, DataDirInUse
from callboard.db.migrate import UnknownDatabase
from callboard.executors.docker.executor import DockerFailed
from callboard.executors.process import LauncherFailed
from callboard.proxy.front import protocol_with

WhileServing: TypeAlias = Callable[[Callboard, asyncio.Event], Awaitable[bool]]
_Asgi: TypeAlias = Callable[..., Awaitable[None]]


class _Uvicorn(uvicorn.Server):
    """Signals are the caller's business, so that Ctrl+C and SIGTERM can mean different things."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def configure_logging(level: str) -> None:
    """Server messages as lines of `key=value` on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


async def serve_until_signal(settings: Settings) -> None:
    """`callboard up`. Raises CommandFailed."""

    async def until_signal(callboard: Callboard, stopped: asyncio.Event) -> bool:
        print(banner(callboard), flush=True)
        return await first_signal(stopped) is signal.SIGINT

    configure_logging(settings.log_level)
    await serve(settings, until_signal)


def banner(callboard: Callboard) -> str:
    """What an operator wants to know first. The last line tells programs that the server is ready."""
    data_dir = callboard.settings.data_dir
    rungs = ", ".join(f"{part}: {rung}" for part, rung in callboard.executor.rungs().items())
    lines = [
        f"Callboard is ready at {callboard.url}",
        f"  token    {data_dir / 'token'}",
        f"  data     {data_dir}",
        f"  sandbox  {rungs}",
        *(f"  note     {note}" for note in callboard.executor.notes),
        f"  clients  run `{env_command(callboard)}` for what to set",
    ]
    return "\n".join(lines)


def env_command(callboard: Callboard) -> str:
    """The `callboard env` that leads to this server: with what is not as usual."""
    usual, settings = Settings(), callboard.settings
    words = ["callboard", "env"]
    if settings.data_dir != usual.data_dir:
        words += ["--data-dir", str(settings.data_dir)]
    if settings.public_url or not callboard.url.endswith(f":{usual.port}"):
        words += ["--url", callboard.url]
    return shlex.join(words)


async def serve(settings: Settings, while_serving: WhileServing) -> None:
    """Serve while `while_serving` runs. It returns whether jobs are to be stopped with the server.

    Raises CommandFailed.
    """
    data_dir = _open_data_dir(settings.data_dir)
    try:
        callboard = Callboard(settings, data_dir, _listen(settings))
        try:
            api = await _open_whole(callboard)
        except LauncherFailed as error:
            raise CommandFailed(f"The launcher of runs cannot be started: {error}") from error
        except DockerFailed as error:
            raise CommandFailed(f"The container engine cannot be used: {error}") from error
        except UnknownDatabase as error:
            raise CommandFailed(str(error)) from error
        except OSError as error:
            raise CommandFailed(f"The server cannot be started: {error}") from error
        await _serve_open(callboard, api, while_serving)
    finally:
        data_dir.close()


async def _open_whole(callboard: Callboard) -> _Asgi:
    """Start all parts or none: a Ctrl+C meanwhile is heeded once there is something whole to stop."""
    opening = asyncio.ensure_future(callboard.open())
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await opening
        await callboard.close(stop_jobs=True)
        raise
    except Exception:
        await callboard.close(stop_jobs=False)
        raise


async def _serve_open(callboard: Callboard, api: _Asgi, while_serving: WhileServing) -> None:
    server = _Uvicorn(_uvicorn_config(callboard, api))
    serving = asyncio.create_task(server.serve(sockets=callboard.sockets))
    stopped = asyncio.Event()
    serving.add_done_callback(lambda _: stopped.set())
    stop_jobs = True
    try:
        stop_jobs = await while_serving(callboard, stopped)
    finally:
        server.should_exit = True
        try:
            if stop_jobs:
                await callboard.abort_runs()
            await serving
        finally:
            await callboard.close(stop_jobs=stop_jobs)


def _uvicorn_config(callboard: Callboard, api: _Asgi) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        loop="uvloop",
        http=protocol_with(callboard.proxy, callboard.gateway.tunnels),
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
        # Longer than clients keep idle connections: they must never send on one being closed.
        timeout_keep_alive=75,
        ws_ping_interval=20,
    )


def _open_data_dir(path: Path) -> DataDir:
    try:
        return DataDir(path)
    except DataDirInUse as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        raise CommandFailed(f"The data folder {path} cannot be used: {error.strerror}.") from error


def _listen(settings: Settings):
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        raise CommandFailed(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Is another program using the port? Choose another with --port."
        ) from error


async def first_signal(stopped: asyncio.Event) -> signal.Signals | None:
    """Wait for SIGINT or SIGTERM, or for the server to stop by itself. A second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(which: signal.Signals) -> None:
        if received.done():
            signal.signal(which, signal.SIG_DFL)
            signal.raise_signal(which)
        else:
            received.set_result(which)

    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, on_signal, which)
    ending = asyncio.ensure_future(stopped.wait())
    await asyncio.wait([received, ending], return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    return received.result() if received.done() else None
