"""Which folders of a stage's tree are mounted where, for its steps and for the finished Actor.

The host's system lies read-only below; what the stage has is laid over it folder by folder. No mount point ever lies
inside another mounted folder of the stage: its content is the Actor's, and a link in it would lead the mount astray.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from callboard.executors.launcher.sandbox import HOME, SystemFolders

_HIDDEN = frozenset(
    {
        "/bin",
        "/dev",
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/proc",
        "/run",
        "/sbin",
        "/sys",
        "/tmp",
        "/var/tmp",
        HOME,
    }
)
"""The sandbox's own."""
_OPEN = frozenset({"/", "/usr", "/etc", "/var", "/home"})
"""Shared with the host or the sandbox: their entries are mounted one by one."""
_WRITABLE_USR = frozenset({"/usr/src", "/usr/local"})
_SYSTEM_VAR = frozenset(
    f"/var/{name}" for name in ("backups", "cache", "lib", "log", "mail", "run", "spool", "tmp")
)


_NAMED = re.compile(r"(?<![\w./-])/((?:home/|var/)?[A-Za-z0-9_][\w.-]*)")
_FILE_NAME = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_NOT_NAMED = _HIDDEN | _OPEN | {"/boot", "/media", "/mnt", "/selinux"}


@dataclass(frozen=True)
class Part:
    """A file or folder of the stage, by its absolute path inside."""

    path: str
    place: Path
    is_folder: bool


def parts(
    root: Path, *, around: Iterable[str] = (), system: SystemFolders | None = None
) -> Iterator[Part]:
    """What to mount of the tree at `root`. `around` are other mount points: the parts stay clear of them.

    What belongs to folders of the host's system is part of `system`, or without that not shown.
    """
    fixed = {PurePosixPath(path) for path in around}
    open_folders = {str(parent) for path in fixed for parent in path.parents} | _OPEN
    taken = {str(path) for path in fixed} | _HIDDEN
    if system is not None:
        taken.add("/etc")
    if system is not None and system.var is not None:
        taken |= _SYSTEM_VAR
    yield from _parts(root, PurePosixPath("/"), open_folders, taken)


def _parts(
    root: Path, folder: PurePosixPath, open_folders: set[str], taken: set[str]
) -> Iterator[Part]:
    for entry in sorted(os.scandir(root / str(folder)[1:]), key=lambda item: item.name):
        path = folder / entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if str(path) in taken or _is_system(path) or not entry.name.isprintable():
            continue
        if str(path) in open_folders:
            if is_folder:
                yield from _parts(root, path, open_folders, taken)
        elif is_folder or entry.is_file(follow_symlinks=False):
            yield Part(str(path), Path(entry.path), is_folder)


def can_be_mounted(path: str) -> bool:
    """Whether a folder of the stage at `path` would be shown as a whole."""
    return path not in _OPEN | _HIDDEN and not _is_system(PurePosixPath(path))


def _is_system(path: PurePosixPath) -> bool:
    """Whether the host shows its own folder there, which cannot be changed."""
    return str(path.parent) == "/usr" and str(path) not in _WRITABLE_USR and os.path.lexists(path)


def named_folders(texts: Iterable[str]) -> list[str]:
    """Folders outside the host's system that instructions name. A step cannot make a folder beside the system's."""
    found = {f"/{name}" for text in texts for name in _NAMED.findall(text)}
    return sorted(path for path in found - _NOT_NAMED if not _FILE_NAME.search(path))
