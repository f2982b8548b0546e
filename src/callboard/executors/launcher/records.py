"""A job's folder: what was asked for, scratch files while it runs, and the record of how it ended.

    jobs/<job_id>/spec.json     written before anything is started
    jobs/<job_id>/exit.json     written whole before anybody is told of the end; on disk for good soon after
    jobs/<job_id>/home, tmp     the job's own; gone when it ends
    jobs/<job_id>/etc, mounts, start.sh, options

A folder with a spec and without an exit, found by a launcher that starts, is of a job that died with the
launcher before: it is recorded as lost.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from callboard.executors.base import Exit, ExitCause, LaunchSpec
from callboard.executors.launcher import protocol

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}")


def now_millis() -> int:
    return time.time_ns() // 1_000_000


class JobFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.home, self.tmp = path / "home", path / "tmp"
        self.etc, self.mounts = path / "etc", path / "mounts"

    def create(self, spec: LaunchSpec) -> None:
        """Make the folder, readable by nobody else, and note the job in it. Raises OSError."""
        self.path.mkdir(mode=0o700)
        for folder in (self.home, self.tmp, self.etc):
            folder.mkdir()
        self.tmp.chmod(0o1777)
        text = json.dumps(protocol.spec_to_json(spec))
        write_private(self.path / "spec.json", text.encode())

    def load_exit(self) -> Exit | None:
        try:
            return protocol.exit_from_json(json.loads((self.path / "exit.json").read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save_exit(self, end: Exit) -> None:
        """Outlives the launcher when this returns, and a power cut after `sync_exit`. Raises OSError."""
        fresh = self.path / "exit.json.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, protocol.encode(protocol.exit_to_json(end)))
        finally:
            os.close(fd)
        fresh.replace(self.path / "exit.json")

    def sync_exit(self) -> None:
        """Harmless without a record. Raises OSError."""
        with suppress(FileNotFoundError):
            sync(self.path / "exit.json")
            sync(self.path)

    def lost(self) -> Exit:
        """Put on record that nobody knows how the job ended."""
        started = int((self.path / "spec.json").stat().st_mtime * 1000)
        detail = "the launcher went down while the job was running"
        end = Exit(ExitCause.LOST, None, started, now_millis(), detail=detail)
        self.save_exit(end)
        self.sync_exit()
        return end


def write_private(path: Path, data: bytes) -> None:
    """A new file that only we can read. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class JobFolders:
    """All jobs of a launcher's folder."""

    def __init__(self, root: Path) -> None:
        self._jobs, self._trash = root / "jobs", root / "trash"
        for folder in (self._jobs, self._trash):
            folder.mkdir(mode=0o700, exist_ok=True)

    def folder(self, job_id: str) -> JobFolder:
        """Raises ValueError for an id that could name anything but a folder of ours."""
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"not a job id: {job_id!r}")
        return JobFolder(self._jobs / job_id)

    def ended(self) -> Iterator[tuple[str, Exit]]:
        """Every job on disk, which at a launcher's start have all ended, one way or another."""
        for path in self._jobs.iterdir():
            folder = JobFolder(path)
            if end := folder.load_exit():
                yield path.name, end
            elif (path / "spec.json").exists():
                yield path.name, folder.lost()
            else:
                self.discard(folder)

    def discard(self, folder: JobFolder) -> None:
        """Take a job's folder away. What is in `trash` is deleted later, by another process."""
        if folder.path.exists():
            folder.path.rename(self._trash / f"{folder.path.name}-{time.time_ns()}")

    def trash(self) -> list[str]:
        return [str(path) for path in self._trash.iterdir()]

    def discard_scratch(self, folder: JobFolder) -> None:
        """Take everything but the records away from an ended job."""
        scratch = (folder.home, folder.tmp, folder.etc, folder.mounts)
        for part in (*scratch, folder.path / "start.sh", folder.path / "options"):
            if part.exists():
                part.rename(self._trash / f"{folder.path.name}-{part.name}-{time.time_ns()}")
