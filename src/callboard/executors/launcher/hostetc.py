"""What jobs see of the host's `/etc`, kept ready as one folder.

Mounting a folder costs a job far less than mounting twenty files and folders one by one. The copy is made again when
the host's files have changed: new certificates reach the next job.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from callboard.executors.launcher.sandbox import HOST_ETC, write_etc

_ETC = Path("/etc")
_WATCHED = (*HOST_ETC, "ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted/pem")
_MOUNT_POINTS = ("hosts", "resolv.conf")


class HostEtc:
    """Owns `folder` and everything in it. Earlier copies stay until the next start: jobs may still use them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._stamp: tuple[int, ...] = ()
        self._current = folder
        self._watched = [str(_ETC / name) for name in _WATCHED]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)

    def current(self) -> Path:
        """A folder for `Sandbox.shared_etc`. Raises OSError."""
        stamp = tuple(map(_changed_at, self._watched))
        if stamp != self._stamp:
            self._count += 1
            self._current = self._folder / str(self._count)
            _fill(self._current)
            self._stamp = stamp
        return self._current


def _changed_at(path: str) -> int:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


def _fill(folder: Path) -> None:
    folder.mkdir()
    write_etc(folder, hostname="localhost", hosts={})
    for name in HOST_ETC:
        with suppress(OSError, shutil.Error):  # not every system has each of them
            copy_public(_ETC / name, folder / name)
    for name in _MOUNT_POINTS:
        (folder / name).touch()


def copy_public(source: Path, target: Path, *, left_out: Iterable[str] = ("private",)) -> None:
    """Links stay links where jobs can follow them. Private keys are nobody's business: see `left_out`.

    Raises OSError and shutil.Error.
    """
    if source.is_symlink() and source.resolve().is_relative_to("/usr"):
        target.symlink_to(source.readlink())
    elif source.is_dir():
        ignored = shutil.ignore_patterns(*left_out)
        shutil.copytree(
            source, target, symlinks=True, ignore=ignored, ignore_dangling_symlinks=True
        )
    elif source.exists():
        shutil.copy2(source, target)
