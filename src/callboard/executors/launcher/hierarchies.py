"""Finds where control groups can be made: which hierarchies are mounted, which folder in each is ours to use."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

V1_CONTROLLERS = {
    "memory": "memory",
    "cpu": "cpu",
    "pids": "pids",
    "acct": "cpuacct",
    "kill": "freezer",
}
"""What groups do for a job, by role, and the version 1 controller that does it."""
_V2_CONTROLLERS = ("memory", "cpu", "pids")
_MAIN = "callboard-main"


@dataclass(frozen=True)
class Place:
    """A folder that serves one role, and the version of its hierarchy."""

    path: Path
    version: int


@dataclass(frozen=True)
class _Hierarchy:
    controllers: frozenset[str]
    root: Path
    own: Path
    """The folder the process is in that is asked about."""
    version: int


def find_places(name: str) -> dict[str, Place]:
    """Make a folder `name` in each hierarchy that helps. Roles that nothing serves are missing."""
    places: dict[str, Place] = {}
    mounted = _mounted()
    for hierarchy in mounted:
        if hierarchy.version == 2:
            places |= _version_2_places(hierarchy, name)
    for role, controller in V1_CONTROLLERS.items():
        for hierarchy in mounted:
            if role not in places and controller in hierarchy.controllers:
                for base in _made(hierarchy.own / name):
                    places[role] = Place(base, 1)
    return places


def places_of(pid: int, controller: str) -> list[Place]:
    """The folder by which a process is controlled, and those around it, outermost first; none if it is over."""
    try:
        mounted = _mounted(str(pid))
        for one in mounted:
            version_2 = one.root / "cgroup.controllers" if one.version == 2 else None
            here = version_2.read_text().split() if version_2 else one.controllers
            if controller in here:
                return [Place(path, one.version) for path in (*reversed(one.own.parents), one.own)]
    except OSError:
        pass
    return []


def write(path: Path, text: str) -> None:
    """Write a control file in one call, as the kernel wants it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def write_if_possible(path: Path, text: str) -> None:
    with suppress(OSError):  # as the name says
        write(path, text)


def _version_2_places(hierarchy: _Hierarchy, name: str) -> dict[str, Place]:
    """Prefer a folder that has the memory controller; else one that can at least kill and count CPU time."""
    best: dict[str, Place] = {}
    for parent in _parents(hierarchy):
        for base in _made(parent / name):
            controllers = _enable(parent, base)
            if "memory" in controllers or not best:
                _remove_unused(best)
                best = {role: Place(base, 2) for role in ("kill", "acct", *controllers)}
            else:
                base.rmdir()
        if "memory" in best:
            break
    return best


def _parents(hierarchy: _Hierarchy) -> list[Path]:
    """Our own group, the one around it (delegated together with ours by a service manager), the root."""
    own, root = hierarchy.own, hierarchy.root
    return list(dict.fromkeys((own, own if own == root else own.parent, root)))


def _enable(parent: Path, base: Path) -> list[str]:
    """Switch the controllers on for the groups below `base`; those that are on in the end."""
    _switch_on(parent)
    if not (parent / "cgroup.subtree_control").read_text().split() and _is_namespace_root(parent):
        _move_processes(parent, parent / _MAIN)
        _switch_on(parent)
    _switch_on(base)
    enabled = (base / "cgroup.subtree_control").read_text().split()
    return [controller for controller in _V2_CONTROLLERS if controller in enabled]


def _switch_on(folder: Path) -> None:
    for controller in _V2_CONTROLLERS:
        write_if_possible(folder / "cgroup.subtree_control", f"+{controller}")


def _is_namespace_root(folder: Path) -> bool:
    """Whether it is all that a container sees. The machine's own root has no type and may hold processes."""
    own = [h.own for h in _mounted() if h.version == 2 and h.own == h.root]
    return folder in own and (folder / "cgroup.type").exists() and os.geteuid() == 0


def _move_processes(source: Path, target: Path) -> None:
    """A group that shares out controllers may hold no processes itself: move a container's into one below."""
    for _ in _made(target):
        for pid in (source / "cgroup.procs").read_text().split():
            write_if_possible(target / "cgroup.procs", pid)


def _remove_unused(places: dict[str, Place]) -> None:
    for path in {place.path for place in places.values()}:
        with suppress(OSError):  # in use, or another's
            path.rmdir()


def _made(folder: Path) -> list[Path]:
    """The folder, made if need be, in a list; an empty list when it is not ours to make."""
    try:
        folder.mkdir(exist_ok=True)
        os.close(os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return []
    return [folder]


def _mounted(pid: str = "self") -> list[_Hierarchy]:
    paths = _paths(pid)
    found = [
        _hierarchy(line, paths) for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return [hierarchy for hierarchy in found if hierarchy]


def _hierarchy(line: str, paths: dict[str, str]) -> _Hierarchy | None:
    """Read one line of mountinfo; None when it is not about control groups."""
    left, _, right = line.partition(" - ")
    kind, _, options = right.split(" ", 2)
    if kind not in ("cgroup", "cgroup2"):
        return None
    mount_root, point = left.split()[3:5]
    names = frozenset(options.split(",")) if kind == "cgroup" else frozenset[str]()
    path = (
        next((paths[n] for n in sorted(names) if n in paths), "/") if names else paths.get("", "/")
    )
    inside = os.path.relpath(path, mount_root)
    own = Path(point) if inside.startswith("..") else Path(point) / inside
    return _Hierarchy(names, Path(point), own, 1 if kind == "cgroup" else 2)


def _paths(pid: str) -> dict[str, str]:
    """The group's path by version 1 controller; version 2's is under the empty name."""
    paths: dict[str, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), path)
    return paths
