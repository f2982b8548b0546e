"""Writable views of folders that must not change: what a job writes to an OVERLAY mount is thrown away with it.

Where the kernel lets us it is an overlay file system over the original, made in no time; else a copy. The job may
change what its user owns or may write; the top folder is always its own.
"""

import os
import shlex
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from callboard.executors.base import LaunchSpec, Mount, MountMode
from callboard.executors.launcher import linux
from callboard.executors.launcher.sandbox import JOB_UID, own


def can_overlay(scratch: Path) -> bool:
    """Mount one to find out. Needs the launcher's own mount namespace."""
    probe = scratch / "overlay-probe"
    (probe / "lower").mkdir(parents=True, exist_ok=True)
    try:
        linux.unmount(overlay(probe / "lower", probe / "mount"))
    except OSError:
        return False
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return True


def overlay(source: Path, folder: Path) -> str:
    """Mount a writable view of `source` in `folder`, which is made. Returns the mount point. Raises OSError."""
    merged = folder / "merged"
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    own(folder / "upper")
    paths = {"lowerdir": source, "upperdir": folder / "upper", "workdir": folder / "work"}
    fds = {key: os.open(path, os.O_PATH | os.O_CLOEXEC) for key, path in paths.items()}
    try:
        data = ",".join(f"{key}=/proc/self/fd/{fd}" for key, fd in fds.items())
        linux.mount("overlay", str(merged), "overlay", linux.MS_NOSUID | linux.MS_NODEV, data)
    finally:
        for fd in fds.values():
            os.close(fd)
    return str(merged)


class Sources:
    """The overlays and copies of one job. `mounts` is what to mount instead of what the spec says."""

    def __init__(self, spec: LaunchSpec, folder: Path, *, use_overlay: bool) -> None:
        self.mounts = spec.mounts
        self._folder = folder
        self._use_overlay = use_overlay
        self._mounted: list[str] = []
        self._copies: list[tuple[Path, Path]] = []

    def prepare(self) -> None:
        """Make them, except for the copying. Raises OSError."""
        wanted = [mount for mount in self.mounts if mount.mode is MountMode.OVERLAY]
        for number, mount in enumerate(wanted):
            self._prepare(mount, self._folder / str(number))

    @property
    def copy_command(self) -> str:
        """A shell command that makes the copies, to be run before the job's program; empty for none."""
        return " && ".join(_copy_command(*pair) for pair in self._copies)

    def close(self) -> None:
        """Unmount what was mounted; files are left to whoever deletes the scratch folder."""
        for target in self._mounted:
            with suppress(OSError):
                linux.unmount(target)
        self._mounted.clear()

    def _prepare(self, mount: Mount, folder: Path) -> None:
        if self._use_overlay:
            made = Path(overlay(mount.source, folder))
            self._mounted.append(str(made))
        else:
            made = folder / "copy"
            made.mkdir(parents=True)
            self._copies.append((mount.source, made))
        new = replace(mount, source=made, mode=MountMode.READ_WRITE)
        self.mounts = tuple(new if m is mount else m for m in self.mounts)


def _copy_command(source: Path, target: Path) -> str:
    copy = f"/bin/cp -a --reflink=auto {shlex.quote(str(source))}/. {shlex.quote(str(target))}"
    if os.geteuid():
        return copy
    return f"{copy} && /bin/chown -hR {JOB_UID}:{JOB_UID} {shlex.quote(str(target))}"
