"""What starts and watches jobs: the executor contract. A job is one start of a run's or a build's program.

`tests/conformance/test_executors.py` holds every executor to what is written here.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Handle: TypeAlias = Mapping[str, Any]
"""JSON that finds a started job again, also from another server process. Saved with the run or build."""


class MountMode(StrEnum):
    READ_ONLY = "ro"
    READ_WRITE = "rw"
    OVERLAY = "overlay"
    """Writable for the job; what it writes is thrown away with it and nobody else sees it."""
    LAYER = "layer"
    """Read-only, with the host's own folder showing where it has nothing. Only for `/usr` and `/etc`, always both."""


@dataclass(frozen=True)
class Mount:
    """A folder of the host as the job sees it, at an absolute `target` path."""

    source: Path
    target: str
    mode: MountMode = MountMode.READ_ONLY


def disk_mbytes(memory_mbytes: int) -> int:
    """What comes with so much memory, for runs and builds alike, as the contract's options show it."""
    return 2 * memory_mbytes


@dataclass(frozen=True)
class LaunchSpec:
    """All an executor needs to start a job. `job_id` names this start: a run started again has a new one."""

    job_id: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    log_path: Path
    """Append-only; several jobs of one run write to the same file, one after the other."""
    log_id: str
    """The run or build whose log it is; named in `Observer.log_grew`."""
    memory_mbytes: int
    """Hard limit for the whole process tree, swap included."""
    cpus: float
    """Cores the job may use when others want them too."""
    timeout_secs: float | None = None
    """Counted from `start`; on expiry the tree is killed and `Exit.cause` is TIMEOUT, server alive or not."""
    pids_max: int = 4096
    mounts: tuple[Mount, ...] = ()
    sandboxed: bool = True
    """False only for Callboard's own build driver, which sandboxes the steps it runs itself."""
    disk_folder: Path | None = None
    """Where a job that is not sandboxed keeps what counts as its disk space. None: nothing of it counts."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values replaced by asterisks in the log."""
    image: str | None = None
    """The container image the program is in, for executors that start containers. `mounts` are laid over it."""
    user: str | None = None
    """`uid:gid` to run as in the image, never root's. None takes an unprivileged user of the executor's."""
    web_server_port: int | None = None
    """What the job was told to serve HTTP on, for who asks for a connection. Executors need not heed it."""

    @property
    def disk_mbytes(self) -> int:
        """Most that it may keep on disk, unless the executor's rung `disk` is "none"."""
        return disk_mbytes(self.memory_mbytes)

    @property
    def disk_bytes(self) -> int:
        return self.disk_mbytes * 1024 * 1024

    @property
    def is_disk_limited(self) -> bool:
        return self.sandboxed or self.disk_folder is not None


class ExitCause(StrEnum):
    EXITED = "exited"
    """By itself, with `exit_code`, or killed by a signal of its own doing (`exit_code` is 128 + signal)."""
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_DISK = "out-of-disk"
    """It kept more than `LaunchSpec.disk_mbytes`."""
    TIMEOUT = "timeout"
    STOPPED = "stopped"
    """By `Executor.stop`."""
    NOT_STARTED = "not-started"
    """The program could not be started; `detail` says why."""
    LOST = "lost"
    """Nobody knows: the machine or the launcher went down with it."""


@dataclass(frozen=True)
class Stats:
    """Measured figures of a job's process tree. CPU in percent, 100 being one core."""

    mem_avg_bytes: float = 0
    mem_max_bytes: int = 0
    mem_current_bytes: int = 0
    cpu_avg_usage: float = 0
    cpu_max_usage: float = 0
    cpu_current_usage: float = 0
    net_rx_bytes: int = 0
    net_tx_bytes: int = 0


@dataclass(frozen=True)
class Exit:
    """How a job ended."""

    cause: ExitCause
    exit_code: int | None
    started_at_millis: int
    finished_at_millis: int
    stats: Stats = Stats()
    detail: str = ""


class Observer(Protocol):
    """Called on the event loop by an executor while jobs run. Must not block."""

    def log_grew(self, log_id: str) -> None: ...

    def stats(self, job_id: str, stats: Stats) -> None:
        """About once a second for each running job."""
        ...


class Executor(ABC):
    """Starts and watches jobs, and writes their output to their log, each line after an ISO timestamp."""

    name: str

    @abstractmethod
    async def open(self, observer: Observer) -> None:
        """Connect to what runs the jobs, starting it where needed. Jobs started by an earlier server go on."""

    @abstractmethod
    async def close(self, *, stop_jobs: bool) -> None:
        """Let go. With `stop_jobs`, first kill all jobs and leave no process behind; else they go on."""

    @abstractmethod
    def rungs(self) -> Mapping[str, str]:
        """Which isolation is in force, by part: filesystem, network, memory, kill, cpu, pids, user."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """For people: what the rungs do not enforce, and why better ones are not in force."""

    @property
    @abstractmethod
    def api_address(self) -> str:
        """`host:port` under which jobs reach the internal API. Known once open, as the next two are."""

    @property
    @abstractmethod
    def listen_address(self) -> str:
        """The address the internal API has to listen on for that."""

    @property
    @abstractmethod
    def gateway_address(self) -> str | None:
        """The host's own address in the network of the jobs, where they have one."""

    @abstractmethod
    def jobs(self) -> Mapping[str, Handle]:
        """All jobs on record by their ids, running or ended, those of earlier servers included."""

    @abstractmethod
    async def start(self, spec: LaunchSpec) -> Handle:
        """Return once the job exists or its failure to start is on record. Twice the same `job_id`: one job."""

    @abstractmethod
    async def wait(self, handle: Handle) -> Exit:
        """Return how it ended, also when an earlier server started it; `ExitCause.LOST` when none knows."""

    @abstractmethod
    async def stop(self, handle: Handle, *, grace_secs: float = 0) -> None:
        """With grace, send SIGTERM first and wait that long; then kill the tree. Harmless after the end."""

    @abstractmethod
    async def connect(self, handle: Handle, port: int) -> socket.socket:
        """A non-blocking connection to what the job itself listens on at `port` of all its addresses.

        Raises OSError: ConnectionRefusedError while nothing listens there, another when the job is over.
        """

    @abstractmethod
    async def forget(self, handle: Handle) -> None:
        """Drop the record of an ended job and its scratch files. Called once its end is safely elsewhere."""
