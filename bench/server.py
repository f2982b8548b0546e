"""The server under measurement: `callboard up` in a process of its own, on a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from bench.http import Client

_MEMORY_MBYTES = 65_536
"""More than the machine has: a hundred runs at once are to wait for nothing but the machine."""


def clean_environment() -> dict[str, str]:
    """Without what would make every import compile again, or steer the server."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("CALLBOARD_")
    }


class Server:
    """Serves for the time of the block; then nothing of it is left. `data_dir` is on the temporary folder's disk."""

    def __init__(self, **settings: str) -> None:
        self._settings = {f"CALLBOARD_{name.upper()}": value for name, value in settings.items()}

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="callboard-bench-"))
        self.data_dir = self._folder / "data"
        self.port = _free_port()
        settings = {
            "CALLBOARD_MEMORY_LIMIT_MBYTES": str(_MEMORY_MBYTES),
            "CALLBOARD_LOG_LEVEL": "error",
            **self._settings,
        }
        self._errors = (self._folder / "errors").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "callboard", "up"),
                *("--data-dir", str(self.data_dir), "--port", str(self.port)),
            ],
            env=clean_environment() | settings,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._wait_for_banner()
        self.token = (self.data_dir / "token").read_text().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self) -> Client:
        return Client(self.port, self.token)

    def build(self, files: Mapping[str, str]) -> str:
        """The id of a fresh Actor, built from these files."""
        version = {
            "versionNumber": "0.0",
            "sourceType": "SOURCE_FILES",
            "buildTag": "latest",
            "sourceFiles": [
                {"name": name, "format": "TEXT", "content": content}
                for name, content in files.items()
            ],
        }
        client = self.client()
        name = f"bench-{os.urandom(4).hex()}"
        actor: Any = client.ask_json("POST", "/v2/actors", {"name": name, "versions": [version]})
        self.build_again(actor["id"])
        client.close()
        return actor["id"]

    def build_again(self, actor_id: str) -> None:
        """A fresh build of the same files. Raises RuntimeError with its log when it fails."""
        client = self.client()
        build = client.ask(
            "POST", f"/v2/actors/{actor_id}/builds?version=0.0&waitForFinish=60"
        ).data
        while build["status"] in ("READY", "RUNNING"):
            build = client.ask("GET", f"/v2/actor-builds/{build['id']}?waitForFinish=60").data
        if build["status"] != "SUCCEEDED":
            log = client.ask("GET", f"/v2/logs/{build['id']}").body.decode()
            raise RuntimeError(f"the build {build['status']}:\n{log}")
        client.close()

    def _wait_for_banner(self) -> None:
        """Printed once the server listens."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("  clients"):
                return
        raise RuntimeError((self._folder / "errors").read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
