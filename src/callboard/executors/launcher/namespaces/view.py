"""What the program sees of the file system: an empty root, and in it what the options name."""

import errno
import os

from callboard.executors.launcher.namespaces import calls

_ROOM = "/tmp"
"""Covered by the new root until that is the root; any folder would do."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus")
_TMPFS = calls.NO_SUID | calls.NO_DEVICES


class Failed(Exception):
    """A step could not be done; says which and why."""


def make_view(steps: list[tuple[str, ...]]) -> None:
    """Make it our root. To be called in a new mount namespace, by the first process of a new process namespace."""
    calls.keep_mounts_to_ourselves()
    trees = [_picked_up(step) for step in steps]
    calls.mount("tmpfs", _ROOM, _TMPFS, "mode=0755")
    calls.leave_root_for(_ROOM)
    for step, found in zip(steps, trees, strict=True):
        try:
            _do(step, found)
        except OSError as error:
            raise Failed(f"can't {step[0].lstrip('-')} {step[-1]}: {error.strerror}") from None


def _picked_up(step: tuple[str, ...]) -> list[tuple[str, int]]:
    """What a step takes from the host, by its names in the step's target."""
    name = step[0]
    try:
        if name == "--proc":
            return [("", calls.make_proc())]
        if name == "--dev":
            return [(device, calls.pick_up(f"/dev/{device}")) for device in _DEVICES]
        if name in ("--bind", "--ro-bind", "--ro-bind-try"):
            return [("", _bindable(name, step[1]))]
    except OSError as error:
        if name == "--ro-bind-try" and error.errno == errno.ENOENT:
            return []
        raise Failed(f"can't {name.lstrip('-')} {step[1]}: {error.strerror}") from None
    return []


def _bindable(name: str, source: str) -> int:
    tree = calls.pick_up(source)
    read_only = 0 if name == "--bind" else calls.READ_ONLY
    calls.restrict(tree, calls.NO_SUID | calls.NO_DEVICES | read_only)
    return tree


def _do(step: tuple[str, ...], found: list[tuple[str, int]]) -> None:
    name, target = step[0], step[-1]
    if name == "--dir":
        os.makedirs(target, exist_ok=True)
    elif name == "--symlink":
        _make_folder_of(target)
        os.symlink(step[1], target)
    elif name == "--tmpfs":
        os.makedirs(target, exist_ok=True)
        calls.mount("tmpfs", target, _TMPFS, f"mode={step[1]}")
    elif name == "--remount-ro":
        calls.restrict_place(target, calls.READ_ONLY)
    elif name == "--dev":
        _make_dev(target, found)
    else:
        for _, tree in found:
            _put(tree, target)
        if name == "--proc":
            _protect_proc(target)


def _put(tree: int, target: str) -> None:
    """Make the place first, a file for a file and a folder for a folder."""
    if not os.path.lexists(target):
        if _is_folder(tree):
            os.makedirs(target)
        else:
            _make_folder_of(target)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    calls.put(tree, target)


def _is_folder(tree: int) -> bool:
    return os.stat(tree).st_mode & 0o170000 == 0o040000


def _make_folder_of(target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)


def _make_dev(target: str, devices: list[tuple[str, int]]) -> None:
    os.makedirs(target, exist_ok=True)
    calls.mount("tmpfs", target, calls.NO_SUID, "mode=0755")
    for device, tree in devices:
        _put(tree, f"{target}/{device}")
    for link, source in _LINKS.items():
        os.symlink(source, f"{target}/{link}")
    os.mkdir(f"{target}/shm")
    os.chmod(f"{target}/shm", 0o1777)
    os.mkdir(f"{target}/pts")
    terminals = "newinstance,ptmxmode=0666,mode=620"
    calls.mount("devpts", f"{target}/pts", calls.NO_SUID | calls.NO_EXEC, terminals)


def _protect_proc(target: str) -> None:
    """Some of its files would change the machine, were a program ever root there."""
    for name in _PROC_READ_ONLY:
        path = f"{target}/{name}"
        if os.path.exists(path):
            tree = calls.pick_up(path)
            calls.restrict(tree, calls.READ_ONLY)
            calls.put(tree, path)
