"""What the server and the launcher say to each other: JSON objects, one a line, over `launcher.sock`.

Requests (server to launcher) carry a number `n` chosen by the server and are answered once, with
`{"reply": n, ...}` or `{"reply": n, "error": "..."}`:

    {"n", "do": "start", "spec": LaunchSpec}          the job exists, or its failure to start is on record
    {"n", "do": "stop", "job_id", "grace_secs"}       the signal is on its way
    {"n", "do": "forget", "job_id"}                   record and scratch files are dropped
    {"n", "do": "socket", "job_id"}                   a TCP socket of the job's network comes with the answer
    {"n", "do": "list"}                               -> running: [job_id], ended: {job_id: Exit},
                                                         rungs: {...}, gateway_address, options
    {"n", "do": "shutdown", "kill": bool}             answered when all jobs are dead; then the launcher is gone

Notices (launcher to every connected server) have no number:

    {"log_grew": log_id}                              at most every 20 ms for a log
    {"stats": {job_id: Stats}}                        every second while jobs run
    {"exited": job_id, "exit": Exit}                  after the exit record is written
"""

import json
import os
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from callboard.executors.base import Exit, ExitCause, LaunchSpec, Mount, MountMode, Stats

SOCKET_NAME = "launcher.sock"
MAX_MESSAGE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Options:
    """How a launcher is to run. One that runs with other options is replaced once it has no jobs."""

    api_port: int = 0
    """Port of the internal API, the one service of the host that jobs may reach. 0: none."""
    allow_local_network: bool = False
    allow_unsandboxed: bool = False
    sandbox: str = ""
    """The one rung of the file system's ladder to try; empty takes the best that works."""


def encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Decoder:
    """Puts messages together again. Raises ValueError for what is not one, or is too long."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        self._rest += data
        if b"\n" in data:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
            yield from (json.loads(line) for line in lines)
        if len(self._rest) > MAX_MESSAGE_BYTES:
            raise ValueError("message too long")


def listen(folder: Path) -> socket.socket:
    """A listening socket that only our user may connect to. Takes the place of a dead launcher's."""
    (folder / SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    mask = os.umask(0o177)
    try:
        with _short_path(folder) as path:
            listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(512)
    return listener


def connect(folder: Path) -> socket.socket:
    """A connection to the launcher of `folder`. Raises OSError when none listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_path(folder) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def _short_path(folder: Path) -> Generator[str]:
    """A name for the socket that fits its limit of 107 bytes however deep the folder lies."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)


def spec_to_json(spec: LaunchSpec) -> dict[str, Any]:
    data = {name: getattr(spec, name) for name in _PLAIN}
    data |= {"env": dict(spec.env), "log_path": str(spec.log_path)}
    data |= {"disk_folder": str(spec.disk_folder) if spec.disk_folder else None}
    return data | {"mounts": [[str(m.source), m.target, m.mode.value] for m in spec.mounts]}


def spec_from_json(data: Mapping[str, Any]) -> LaunchSpec:
    plain = {name: data[name] for name in _PLAIN}
    plain |= {"argv": tuple(data["argv"]), "secrets": tuple(data["secrets"])}
    plain |= {"env": data["env"], "log_path": Path(data["log_path"])}
    plain |= {"disk_folder": Path(data["disk_folder"]) if data["disk_folder"] else None}
    mounts = tuple(Mount(Path(s), target, MountMode(mode)) for s, target, mode in data["mounts"])
    return LaunchSpec(**plain, mounts=mounts)


def exit_to_json(end: Exit) -> dict[str, Any]:
    return asdict(end)


def exit_from_json(data: Mapping[str, Any]) -> Exit:
    plain: dict[str, Any] = {
        **data,
        "cause": ExitCause(data["cause"]),
        "stats": Stats(**data["stats"]),
    }
    return Exit(**plain)


_PLAIN = (
    "job_id",
    "argv",
    "cwd",
    "log_id",
    "memory_mbytes",
    "cpus",
    "timeout_secs",
    "pids_max",
    "sandboxed",
    "secrets",
)
