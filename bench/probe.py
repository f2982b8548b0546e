"""Another client beside those under load, in a process of its own: it measures the server, not their threads."""

import multiprocessing
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from bench.http import Client
from bench.timing import timed

_PAUSE_SECS = 0.01
_spawning = multiprocessing.get_context("spawn")


@contextmanager
def probing(port: int, token: str, path: str) -> Generator[list[float]]:
    """Ask for `path` again and again during the block; after it, the list holds the seconds that each answer took."""
    ours, theirs = _spawning.Pipe()
    process = _spawning.Process(target=_probe, args=(port, token, path, theirs), daemon=True)
    process.start()
    ours.recv()
    seconds: list[float] = []
    try:
        yield seconds
    finally:
        ours.send("stop")
        seconds += ours.recv()
        process.join()


def _probe(port: int, token: str, path: str, parent: Connection) -> None:
    client = Client(port, token)
    client.ask("GET", path)
    seconds: list[float] = []
    parent.send("ready")
    while not parent.poll(_PAUSE_SECS):
        seconds.append(timed(lambda: client.ask("GET", path)))
    parent.send(seconds)
    client.close()
