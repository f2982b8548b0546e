"""The data folder: who owns it, what it holds, and the secrets made on first use."""

import fcntl
import os
from pathlib import Path
from typing import IO

from callboard.core.vault import Vault, new_master_key


class DataDirInUse(Exception):
    """Another server of this machine works on the folder."""


class DataDir:
    """The paths in a data folder. Opening one takes it for this process until `close`."""

    def __init__(self, root: Path) -> None:
        """Raises DataDirInUse, or OSError when the folder cannot be written."""
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The root may have been there before, open to others; what it holds is not for them.
        for folder in (self.blobs, self.logs, self.builds, self.cache):
            folder.mkdir(exist_ok=True, mode=0o700)
        self._lock = _lock(root / "lock")
        self.vault = Vault(_master_key(root / "master.key"))

    def close(self) -> None:
        self._lock.close()

    @property
    def database(self) -> Path:
        return self.root / "callboard.db"

    @property
    def token_file(self) -> Path:
        return self.root / "token"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def cache(self) -> Path:
        return self.root / "cache"


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all, also across a power cut."""
    unfinished = path.with_name(path.name + ".part")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lock(path: Path) -> IO[bytes]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    file = os.fdopen(fd, "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise DataDirInUse(f"Another Callboard server is running on {path.parent}.") from error
    return file


def _master_key(path: Path) -> bytes:
    if not path.exists():
        write_secret(path, new_master_key())
    return path.read_bytes()
