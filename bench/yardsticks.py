"""What Callboard is compared with: a bare process, the SDK on its own, an HTTP server that does nothing."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bench.server import clean_environment

# The same work as the plain Actor's, less its calls: JSON in, JSON out.
JOB = """\
import json, sys
value = json.load(sys.stdin)
json.dump({"sum": sum(value["numbers"])}, sys.stdout)
"""
JOB_INPUT = b'{"numbers": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}'

PLAIN_ACTOR = """\
import json, os, socket

host, _, port = os.environ["APIFY_API_BASE_URL"].removeprefix("http://").partition(":")
store = "/v2/key-value-stores/" + os.environ["ACTOR_DEFAULT_KEY_VALUE_STORE_ID"] + "/records/"
server = socket.create_connection((host, int(port)))


def call(method, key, body=b""):
    server.sendall((
        f"{method} {store}{key} HTTP/1.1\\r\\nHost: {host}\\r\\nContent-Type: application/json\\r\\n"
        f"Authorization: Bearer {os.environ['APIFY_TOKEN']}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    ).encode() + body)
    answer = b""
    while b"\\r\\n\\r\\n" not in answer:
        answer += server.recv(65536)
    head, _, content = answer.partition(b"\\r\\n\\r\\n")
    length = [line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:")]
    while length and len(content) < int(length[0][15:]):
        content += server.recv(65536)
    return content


value = json.loads(call("GET", os.environ["ACTOR_INPUT_KEY"]))
call("PUT", "OUTPUT", json.dumps({"sum": sum(value["numbers"])}).encode())
"""
"""With nothing but a socket: importing an HTTP client would cost more than all the rest."""

SDK_ACTOR = """\
import asyncio
from apify import Actor


async def main():
    async with Actor:
        value = await Actor.get_input() or {}
        await Actor.set_value("OUTPUT", {"sum": sum(value.get("numbers", []))})


asyncio.run(main())
"""

_NOOP_APP = """\
import socket, sys, uvicorn


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_config=None)
uvicorn.Server(config).run(sockets=[listener])
"""


class Processes:
    """Programs of their own, each run a fresh process in a session of its own, as an Actor's is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "job.py").write_text(JOB)
        (folder / "sdk.py").write_text(SDK_ACTOR)
        self._env = clean_environment()

    def job(self) -> None:
        """B: `python job.py`, of the virtual environment we run in: as an Actor's, it has few packages of its own.

        Hooks of packages beside the interpreter itself can double the time it takes to start.
        """
        self._run([sys.executable, "job.py"], self._env, JOB_INPUT)

    def sdk_import(self) -> None:
        """I: `python -c "from apify import Actor"`."""
        self._run([sys.executable, "-c", "from apify import Actor"], self._env)

    def sdk_actor(self) -> None:
        """S: the SDK Actor with the SDK's own local storage."""
        storage = self._folder / "storage"
        self._run(
            [sys.executable, "sdk.py"], {**self._env, "APIFY_LOCAL_STORAGE_DIR": str(storage)}
        )

    def _run(self, argv: list[str], env: Mapping[str, str], stdin: bytes = b"") -> None:
        subprocess.run(
            argv,
            input=stdin,
            env=env,
            cwd=self._folder,
            capture_output=True,
            check=True,
            start_new_session=True,
        )


class NoopServer:
    """An ASGI app that answers `{}`, on the same server software as Callboard: the floor of any request."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NOOP_APP],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=os.path.sep,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
