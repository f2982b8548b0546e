"""A container engine of the tests' own: its images, containers and networks are gone when it is."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

_START_SECS = 40
_STOP_SECS = 60
_PLACE, _PREFIX = Path("/tmp"), "callboard-dockerd-"
"""Names of sockets may not be long."""


class NoEngine(Exception):
    """No engine can be started here; the message says why."""


class Dockerd:
    """`dockerd` on folders and a socket of its own, without rules in the machine's firewall."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PLACE))
        self._memory = self._folder / "memory"
        self._socket = self._folder / "docker.sock"
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def memory(self) -> Path:
        """In memory, and gone with the engine."""
        return self._memory

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Raises NoEngine."""
        program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            raise NoEngine("dockerd is not installed")
        if os.geteuid() != 0:
            raise NoEngine("dockerd needs root")
        for left in _PLACE.glob(f"{_PREFIX}*"):
            _clear_after_the_dead(left)
        # In memory: images are many small files, which are there for minutes only.
        self._memory.mkdir()
        _run("mount", "-t", "tmpfs", "-o", "size=6g", "callboard-tests", str(self._memory))
        (self._folder / "daemon.json").write_text("{}")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "TERM"),  # as when the tests are killed
                    *(program, "--data-root", str(self._memory / "data")),
                    *("--exec-root", str(self._memory / "exec")),
                    *("--pidfile", str(self._folder / "pid"), "--host", self.url),
                    *("--config-file", str(self._folder / "daemon.json")),
                    *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
                    *("--storage-driver", "overlay2"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()
        return self

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + _START_SECS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                said = self._log.read_text(errors="replace")[-300:]
                self.stop()
                raise NoEngine(f"dockerd does not start: {said!r}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
                client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in client.recv(100)
            except OSError:
                return False

    def stop(self) -> None:
        """Its containers are ended with it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        _remove(self._folder)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=False, capture_output=True)


def _remove(folder: Path) -> None:
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        point = line.split()[4]
        if point == str(folder) or point.startswith(f"{folder}/"):
            _run("umount", "-l", point)
    shutil.rmtree(folder, ignore_errors=True)


def _clear_after_the_dead(folder: Path) -> None:
    """What tests that were killed have left: an engine that nobody is waiting for, and its folder."""
    try:
        pid = int((folder / "pid").read_text())
        status = Path(f"/proc/{pid}/status").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if "\nPPid:\t1\n" in status and str(folder).encode() in command:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + _STOP_SECS
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        _remove(folder)
