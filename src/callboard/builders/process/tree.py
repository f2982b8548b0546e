"""File trees of build stages: paths resolved as the stage sees them, and trees cloned without following links.

Stages hold links made by an Actor's own build steps, and the driver may be root. So the driver never opens a path
below a stage before every link on its way has been followed inside that stage.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from callboard.builders.process.errors import BuildFailed
from callboard.executors.launcher.sandbox import JOB_UID

_MAX_LINKS = 40


def resolve(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Where the stage's absolute `path` lies on the host. Links are followed as if `root` were `/`."""
    pending = [part for part in reversed(PurePosixPath(path).parts) if part != "/"]
    parts: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            parts = parts[:-1]
            continue
        target = _link_target(root.joinpath(*parts, part)) if pending or follow_last else None
        if target is None:
            parts.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise BuildFailed(f"Too many links on the way to {path}.")
        if target.is_absolute():
            parts = []
        pending.extend(reversed([step for step in target.parts if step != "/"]))
    return root.joinpath(*parts)


def own_folder(root: Path, path: str) -> Path:
    """Where a folder lies that is mounted by its place on the host: a real one, with no link on the way."""
    place = resolve(root, path)
    if place != root / path[1:] or not place.is_dir():
        raise BuildFailed(f"{path} must stay the folder it is.")
    return place


def _link_target(path: Path) -> PurePosixPath | None:
    try:
        return PurePosixPath(os.readlink(path))
    except OSError:
        return None


def give(path: Path) -> None:
    """Make a file the driver made belong to the Actor."""
    if os.geteuid() == 0:
        os.chown(path, JOB_UID, JOB_UID, follow_symlinks=False)


def make_directory(root: Path, path: str) -> Path:
    """Make the stage's folder `path` with all above it, and return where it lies."""
    current = "/"
    place = root
    for part in PurePosixPath(path).parts:
        if part == "/":
            continue
        current = f"{current.rstrip('/')}/{part}"
        place = resolve(root, current)
        if not place.is_dir():
            _make_one(place, current)
    return place


def names(root: Path, folder: str) -> frozenset[str]:
    """What the stage's `folder` holds; nothing when it is not there."""
    place = resolve(root, folder)
    return frozenset(os.listdir(place)) if place.is_dir() else frozenset()


def missing_parents(root: Path, path: str) -> list[str]:
    """The stage's folder `path` and those above it, outermost first, as far as they are not there."""
    above = [str(one) for one in reversed(PurePosixPath(path).parents)]
    return [one for one in (*above, path) if not os.path.lexists(resolve(root, one))]


def _make_one(place: Path, shown: str) -> None:
    try:
        place.mkdir(parents=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BuildFailed(f"{shown} cannot be a folder, a file is in the way.") from error
    give(place)


def write_file(place: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put a new file at a resolved place. Never writes into an existing one: it may be shared with a cached tree."""
    remove(place)
    place.write_bytes(content)
    place.chmod(mode)
    give(place)


def remove(place: Path) -> None:
    """Take away whatever is there, without following a link."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def clone(source: Path, target: Path, *, link: bool) -> None:
    """Copy a tree with owners, modes and times. With `link`, files are shared: the copy must not be written into."""
    flags = "-al" if link else "-a"
    command = ["cp", flags, *([] if link else ["--reflink=auto"]), "--", str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"cp failed: {done.stderr.strip()[-500:]}")


def size_bytes(path: Path) -> int:
    """Sum of the sizes of the files below `path`."""
    return sum(status.st_size for status in files(path))


def files(path: Path) -> Iterator[os.stat_result]:
    """Of the files below `path`, links left out."""
    for folder, _, names in os.walk(path):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(status.st_mode):
                yield status
