"""Container engines of the tests' own: their images, containers and networks are gone when they are."""

import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

_START_SECS = 40
_STOP_SECS = 60
_PLACE, _PREFIX = Path("/tmp"), "callboard-engine-"
"""Names of sockets may not be long."""
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


_ISOLATION = re.compile(r"-A CNI-ISOLATION-STAGE-[12] -[io] (cb-[0-9a-f]{6}) ")


class NoEngine(Exception):
    """No engine can be started here; the message says why."""


class ContainerEngine(ABC):
    """An engine on folders and a socket of its own."""

    program: ClassVar[str]

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PLACE))
        self.memory = self._folder / "memory"
        """In memory, and gone with the engine."""
        self._socket = self._folder / "engine.sock"
        self._log = self._folder / "log"
        self.environment = {**os.environ, "PATH": _PATH}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @abstractmethod
    def arguments(self) -> list[str]:
        """What the program is started with. The folders are there."""

    def start(self) -> Self:
        """Raises NoEngine."""
        program = shutil.which(self.program, path=_PATH)
        if program is None or os.geteuid() != 0:
            self._folder.rmdir()
            why = "needs root for what is tested" if program else "is not installed"
            raise NoEngine(f"{self.program} {why}")
        for left in _PLACE.glob(f"{_PREFIX}*"):
            _clear_after_the_dead(left)
        _forget_rules()
        # In memory: images are many small files, which are there for minutes only.
        self.memory.mkdir()
        _run("mount", "-t", "tmpfs", "-o", "size=6g", "callboard-tests", str(self.memory))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                # As when the tests are killed.
                ["setpriv", "--pdeathsig", "TERM", program, *self.arguments()],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self._folder,
                start_new_session=True,
            )
        (self._folder / "pid").write_text(str(self._process.pid))
        self._wait()
        return self

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + _START_SECS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                said = self._log.read_text(errors="replace")[-300:]
                self.stop()
                raise NoEngine(f"{self.program} does not start: {said!r}")
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


class Dockerd(ContainerEngine):
    """Docker's own, without rules in the machine's firewall."""

    program = "dockerd"

    def arguments(self) -> list[str]:
        (self._folder / "daemon.json").write_text("{}")
        return [
            *("--data-root", str(self.memory / "data")),
            *("--exec-root", str(self.memory / "exec")),
            *("--pidfile", str(self.memory / "pid"), "--host", self.url),
            *("--config-file", str(self._folder / "daemon.json")),
            *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
            *("--storage-driver", "overlay2"),
        ]


class Podman(ContainerEngine):
    """Podman, of which nothing but its service waits for clients: containers are no children of it."""

    program = "podman"

    def arguments(self) -> list[str]:
        settings = self._folder / "containers.conf"
        settings.write_text(
            _PODMAN_SETTINGS.format(files=resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
        self.environment["CONTAINERS_CONF"] = str(settings)
        self.environment["TMPDIR"] = str(self.memory)  # where it leaves parts of images
        return [*self._own(), "system", "service", "--time=0", self.url]

    def stop(self) -> None:
        """It would leave its containers and networks as they are."""
        for command in (("rm", "--all", "--force", "--time=0"), ("network", "prune", "--force")):
            argv = (self.program, *self._own(), *command)
            with suppress(subprocess.TimeoutExpired):  # what it leaves is cleared by the next one
                subprocess.run(
                    argv, env=self.environment, check=False, capture_output=True, timeout=_STOP_SECS
                )
        super().stop()
        _forget_bridges()

    def _own(self) -> list[str]:
        return [
            *("--root", str(self.memory / "data"), "--runroot", str(self.memory / "run")),
            *("--tmpdir", str(self.memory / "tmp"), "--storage-driver", "overlay"),
            *("--network-config-dir", str(self.memory / "networks")),
        ]


_PODMAN_SETTINGS = """\
[containers]
default_ulimits = ["nofile={files}:{files}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""For a machine without systemd, on which not even root may raise its limits."""


def _forget_bridges() -> None:
    """The plugins for networks leave a few rules, and a folder, of each that is gone."""
    rules = subprocess.run(["iptables", "-S"], check=False, capture_output=True, text=True).stdout
    links = {name for _, name in socket.if_nameindex()}
    for rule in rules.splitlines():
        bridge = _ISOLATION.match(rule)
        if bridge is not None and bridge[1] not in links:
            _run("iptables", "-w", "-D", *shlex.split(rule.removeprefix("-A ")))
    for folder in Path("/var/lib/cni/networks").glob("callboard-*"):
        if folder.name.replace("callboard", "cb") not in links:
            shutil.rmtree(folder, ignore_errors=True)


def _forget_rules() -> None:
    """Of networks that went with an engine that was killed. A table is loaded when its bridge is there."""
    if shutil.which("nft") is None:
        return
    listed = subprocess.run(["nft", "list", "tables"], check=False, capture_output=True, text=True)
    links = {name for _, name in socket.if_nameindex()}
    for name in re.findall(r"^table inet callboard_([0-9a-f]{6})$", listed.stdout, re.MULTILINE):
        if f"cb-{name}" not in links:
            _run("nft", "delete", "table", "inet", f"callboard_{name}")


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
