"""Writable views of folders that must not change: what a job writes to an OVERLAY mount is thrown away with it.

Where the kernel lets us it is an overlay file system over the original, made in no time; else a copy. The job may
change what its user owns or may write; the top folder is always its own.
"""

import os
import shlex
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from callboard.executors.base import LaunchSpec, Mount, MountMode
from callboard.executors.launcher import linux
from callboard.executors.launcher.sandbox import JOB_UID, SystemFolders, own

_COPIED = "copied"


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
    with _opened(paths.values()) as names:
        data = ",".join(f"{key}={name}" for key, name in zip(paths, names, strict=True))
        try:
            # Else unmounting would write to disk what is about to be deleted.
            _mount_overlay(merged, f"{data},volatile")
        except OSError:
            _mount_overlay(merged, data)
    return str(merged)


def _mount_overlay(merged: Path, data: str) -> None:
    if os.geteuid() != 0:
        data += ",userxattr"  # in a user namespace it has no right to the attributes of root
    linux.mount("overlay", str(merged), "overlay", linux.MS_NOSUID | linux.MS_NODEV, data)


def layered(layer: Path, below: Path, folder: Path) -> str:
    """Mount a view of `layer` over `below` in `folder`, which is made. Nobody can write to it. Raises OSError."""
    merged = folder / "merged"
    merged.mkdir(parents=True, exist_ok=True)
    with _opened((layer, below)) as names:
        _mount_overlay(merged, f"lowerdir={':'.join(names)}")
    return str(merged)


@contextmanager
def _opened(paths: Iterable[Path]) -> Generator[list[str]]:
    """Names for folders that may be written in mount options, whatever their paths hold."""
    fds: list[int] = []
    try:
        for path in paths:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fds.append(os.open(path, flags))
        yield [f"/proc/self/fd/{fd}" for fd in fds]
    finally:
        for fd in fds:
            os.close(fd)


class Sources:
    """The overlays and copies of one job. `mounts` is what to mount instead of what the spec says."""

    def __init__(self, spec: LaunchSpec, folder: Path, *, use_overlay: bool) -> None:
        self.mounts = spec.mounts
        self.system: SystemFolders | None = None
        """What stands for the host's own folders, when there are layers for them."""
        self._folder = folder
        self._use_overlay = use_overlay
        self._copies: list[tuple[Path, Path]] = []

    def prepare(self, shared_etc: Path) -> None:
        """Make them, except for the copying, in the mount namespace of the caller. Raises OSError.

        `shared_etc` is what layers are laid over.
        """
        self._prepare_system(shared_etc)
        wanted = [mount for mount in self.mounts if mount.mode is MountMode.OVERLAY]
        for number, mount in enumerate(wanted):
            self._prepare(mount, self._folder / str(number))

    @property
    def copy_command(self) -> str:
        """A shell command that makes the copies, to be run before the job's program; empty for none."""
        commands = [_copy_command(*pair) for pair in self._copies]
        if commands:
            commands.append(f"/usr/bin/du -sk {self._quoted()} >{self._quoted(_COPIED)}")
        return " && ".join(commands)

    def given_bytes(self) -> int | None:
        """What the copies take on disk, None while they are being made."""
        if not self._copies:
            return 0
        with suppress(OSError, ValueError, IndexError):
            return int((self._folder / _COPIED).read_text().split()[0]) * 1024
        return None

    def _prepare_system(self, shared_etc: Path) -> None:
        layers = {m.target: m.source for m in self.mounts if m.mode is MountMode.LAYER}
        if not layers:
            return
        if not self._use_overlay:
            raise OSError("the Actor brings system packages, for which this machine lacks overlays")
        self.mounts = tuple(m for m in self.mounts if m.mode is not MountMode.LAYER)
        usr = self._layered(layers["/usr"], Path("/usr"), "usr")
        self.system = SystemFolders(usr, self._layered(layers["/etc"], shared_etc, "etc"))

    def _layered(self, layer: Path, below: Path, name: str) -> Path:
        return Path(layered(layer, below, self._folder / name))

    def _quoted(self, name: str = "") -> str:
        return shlex.quote(str(self._folder / name))

    def _prepare(self, mount: Mount, folder: Path) -> None:
        if self._use_overlay:
            made = Path(overlay(mount.source, folder))
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
