"""How much memory this machine has for runs and builds, or the container that the server is in."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_LIMIT_FILES = {"": "memory.max", "memory": "memory.limit_in_bytes"}
"""By the controllers that a line of /proc/self/cgroup names: none in version 2."""
_FOLDERS = {"": ("", "unified"), "memory": ("memory",)}


def machine_memory_mbytes(
    *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> int:
    """The memory of the machine, or the least that a control group around this process allows."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits(proc, groups)]) // 2**20


def _limits(proc: Path, groups: Path) -> Iterator[int]:
    """Each limit in bytes. A group without one says `max`, or a number above what any machine has."""
    for file in _limit_files(proc, groups):
        with suppress(OSError, ValueError):
            limit = int(file.read_text())
            if limit > 0:
                yield limit


def _limit_files(proc: Path, groups: Path) -> Iterator[Path]:
    """Those of our groups and all around them. In a container, names may be the host's, which are not there."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        kind = "memory" if "memory" in controllers.split(",") else controllers
        for folder in _FOLDERS.get(kind, ()):
            inside = PurePosixPath(path.lstrip("/"))
            for each in (inside, *inside.parents):
                if ".." not in each.parts:
                    yield groups / folder / each / _LIMIT_FILES[kind]
