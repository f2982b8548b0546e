"""What is kept of each job on disk: what it needs to be found again, why it was ended, and how it ended.

jobs/<job_id>/job.json    written before its container is created; its secrets are in it, so nobody else may read
jobs/<job_id>/started     that its container was about to be started, and when
jobs/<job_id>/cause       why the executor ends it, written before it does
jobs/<job_id>/cursor      how far its log has been copied
jobs/<job_id>/exit.json   written whole and synced before anybody is told of the end
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from callboard.core.clock import Mark, mark
from callboard.executors.base import Exit, ExitCause, LaunchSpec
from callboard.executors.launcher import protocol
from callboard.executors.launcher.records import sync

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}")


class JobRecord(msgspec.Struct, frozen=True):
    """What a later server has to know of a job."""

    job_id: str
    log_path: str
    log_id: str
    memory_mbytes: int
    timeout_secs: float | None
    secrets: tuple[str, ...]
    noted_at_millis: int
    disk_mbytes: int = 0
    weighs: bool = True
    """Whether it is held to its disk space by looking, and not by the engine."""
    program: str = ""

    @classmethod
    def of(cls, spec: LaunchSpec, *, weighs: bool) -> "JobRecord":
        return cls(
            spec.job_id,
            str(spec.log_path),
            spec.log_id,
            spec.memory_mbytes,
            spec.timeout_secs,
            spec.secrets,
            now_millis(),
            disk_mbytes=spec.disk_mbytes,
            weighs=weighs,
            program=spec.argv[0],
        )


def now_millis() -> int:
    return time.time_ns() // 1_000_000


class JobFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, record: JobRecord) -> None:
        """Make the folder with the record in it; one of an earlier attempt is taken over. Raises OSError."""
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._write("job.json", msgspec.json.encode(record))

    def load(self) -> JobRecord | None:
        try:
            return msgspec.json.decode((self.path / "job.json").read_bytes(), type=JobRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def note_start(self) -> None:
        """Before the container is started: without this note, one that is not there never was."""
        self._write("started", msgspec.json.encode(mark()))

    def was_started(self) -> bool:
        return (self.path / "started").exists()

    def started(self) -> Mark | None:
        try:
            return msgspec.json.decode((self.path / "started").read_bytes(), type=Mark)
        except (OSError, msgspec.DecodeError):
            return None

    def note_cause(self, cause: ExitCause) -> None:
        """The first one counts."""
        if self.cause() is None:
            self._write("cause", cause.value.encode())

    def cause(self) -> ExitCause | None:
        try:
            return ExitCause((self.path / "cause").read_text())
        except (OSError, ValueError):
            return None

    def load_exit(self) -> Exit | None:
        try:
            saved = msgspec.json.decode((self.path / "exit.json").read_bytes())
            return protocol.exit_from_json(saved)
        except (OSError, msgspec.DecodeError, ValueError, TypeError, KeyError):
            return None

    def save_exit(self, end: Exit) -> None:
        """Durable when this returns; never half there. Blocks until it is on disk. Raises OSError."""
        self._write("exit.json", msgspec.json.encode(protocol.exit_to_json(end)), durable=True)
        sync(self.path)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _write(self, name: str, content: bytes, *, durable: bool = False) -> None:
        fresh = self.path / f"{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(self.path / name)


class JobFolders:
    """All jobs of one data folder, and the name by which the engine knows this data folder."""

    def __init__(self, root: Path) -> None:
        self._root, self._jobs = root, root / "jobs"

    def open(self) -> None:
        self._jobs.mkdir(mode=0o700, parents=True, exist_ok=True)

    def instance(self) -> str:
        return instance_of(self._root)

    def folder(self, job_id: str) -> JobFolder:
        """Raises ValueError for an id that could name anything but a folder of ours."""
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"not a job id: {job_id!r}")
        return JobFolder(self._jobs / job_id)

    def all(self) -> Iterator[JobFolder]:
        for path in sorted(self._jobs.iterdir()):
            yield JobFolder(path)


def instance_of(root: Path) -> str:
    """Six hexadecimal digits, made at the first call and the same ever after."""
    path = root / "instance"
    if not path.exists():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = root / f"instance.{secrets.token_hex(4)}"
        fresh.write_text(secrets.token_hex(3))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()
