"""Trees that look writable while nothing is written into them: overlay file systems, where the kernel lets us.

A step that starts from files shared with cached trees works on an overlay; what it changed is then taken over, so
that only that much is ever copied. Where there are no overlays the whole tree is copied instead.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from callboard.builders.process import tree
from callboard.executors.launcher import linux

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


@cache
def available(folder: Path) -> bool:
    """Whether this process may mount overlays that write below `folder`: tried once.

    Moves the process into a mount namespace of its own for it.
    """
    if os.geteuid() != 0:
        return False
    probe = Path(tempfile.mkdtemp(prefix="overlay-probe-", dir=folder))
    try:
        linux.own_mount_namespace()
        (probe / "lower").mkdir()
        with mounted(probe / "lower", probe / "view"):
            return True
    except OSError:
        return False
    finally:
        shutil.rmtree(probe)


@contextmanager
def mounted(lower: Path | Sequence[Path], folder: Path) -> Generator[Path]:
    """A writable view of `lower`, or of several laid over each other, the first on top. Raises OSError.

    What is written is in `folder/upper` afterwards.
    """
    lowers = (lower,) if isinstance(lower, Path) else tuple(lower)
    merged = folder / "merged"
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir(parents=True)
    status = lowers[0].stat()
    os.chown(folder / "upper", status.st_uid, status.st_gid)
    (folder / "upper").chmod(stat.S_IMODE(status.st_mode))
    above = {"upperdir": folder / "upper", "workdir": folder / "work"}
    with _mount(merged, lowers, above):
        yield merged


@contextmanager
def joined(lowers: Sequence[Path], folder: Path) -> Generator[Path]:
    """A view of folders laid over each other, the first on top, that nobody can write to. Raises OSError."""
    merged = folder / "merged"
    merged.mkdir(parents=True)
    with _mount(merged, lowers, {}):
        yield merged


@contextmanager
def _mount(merged: Path, lowers: Sequence[Path], above: Mapping[str, Path]) -> Generator[None]:
    """Name the folders by descriptors, as their paths may hold what mount options must not."""
    opened: list[int] = []

    def name_of(path: Path) -> str:
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        return f"/proc/self/fd/{opened[-1]}"

    try:
        options = ["lowerdir=" + ":".join(map(name_of, lowers))]
        options += [f"{key}={name_of(path)}" for key, path in above.items()]
        options += ["redirect_dir=off", "metacopy=off", "volatile"] if above else []
        flags = linux.MS_NOSUID | linux.MS_NODEV
        linux.mount("overlay", str(merged), "overlay", flags, ",".join(options))
    finally:
        for descriptor in opened:
            os.close(descriptor)
    try:
        yield
    finally:
        linux.unmount(str(merged))


def take_over(upper: Path, target: Path) -> None:
    """Make `target` look as the overlay over it did. Files are moved out of `upper`; no link is followed."""
    for entry in os.scandir(upper):
        source, place = Path(entry.path), target / entry.name
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            _take_over_folder(source, place, status)
        else:
            tree.remove(place)
            if not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
                source.rename(place)


def _take_over_folder(source: Path, place: Path, status: os.stat_result) -> None:
    is_folder = place.is_dir() and not place.is_symlink()
    if not is_folder or _is_opaque(source):
        tree.remove(place)
        place.mkdir()
    os.chown(place, status.st_uid, status.st_gid)
    place.chmod(stat.S_IMODE(status.st_mode))
    take_over(source, place)
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_opaque(folder: Path) -> bool:
    """Whether the folder stands for itself alone, nothing of the one below it showing through."""
    return any(name in _OPAQUE for name in os.listxattr(folder, follow_symlinks=False))
