"""Running a server in this process until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path

import structlog
import uvicorn

from callboard.app import Callboard, listen
from callboard.config import InvalidSetting, Settings
from callboard.datadir import DataDir, DataDirInUse
from callboard.executors.process import LauncherFailed


class CannotServe(Exception):
    """Why the server cannot start, in a sentence for the operator."""


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


async def serve(
    settings: Settings, while_serving: Callable[[Callboard, asyncio.Event], Awaitable[bool]]
) -> None:
    """Serve while `while_serving` runs. It returns whether jobs are to be stopped with the server.

    Raises CannotServe.
    """
    data_dir = _open_data_dir(settings.data_dir)
    try:
        listener = _listen(settings)
        callboard = Callboard(settings, data_dir, listener)
        try:
            api = await callboard.open()
        except LauncherFailed as error:
            raise CannotServe(f"The launcher of runs cannot be started: {error}") from error
        stop_jobs = True
        try:
            server = _Uvicorn(_uvicorn_config(api))
            serving = asyncio.create_task(server.serve(sockets=callboard.sockets))
            stopped = asyncio.Event()
            serving.add_done_callback(lambda _: stopped.set())
            stop_jobs = await while_serving(callboard, stopped)
            server.should_exit = True
        finally:
            await callboard.close(stop_jobs=stop_jobs)
        await serving
    finally:
        data_dir.close()


def _uvicorn_config(api: Callable[..., Awaitable[None]]) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws_ping_interval=20,
    )


def _open_data_dir(path: Path) -> DataDir:
    try:
        return DataDir(path)
    except DataDirInUse as error:
        raise CannotServe(str(error)) from error
    except OSError as error:
        raise CannotServe(f"The data folder {path} cannot be used: {error.strerror}.") from error


def _listen(settings: Settings):
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        raise CannotServe(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Is another program using the port? Choose another with --port."
        ) from error


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous command; what stops it from working is one line and exit code 1."""
    import uvloop

    try:
        uvloop.run(main())  # pyright: ignore[reportArgumentType] - any awaitable coroutine
    except (CannotServe, InvalidSetting) as error:
        print(f"callboard: {error}", file=sys.stderr)
        raise SystemExit(1) from error


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
