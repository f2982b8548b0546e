"""The few system calls the launcher needs that Python 3.11 has no function for."""

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_REC, MS_SLAVE = 0x2, 0x4, 0x4000, 0x80000
MNT_DETACH = 0x2
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 0x1, 0x2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE = 1, 36, 4

_OWN_MOUNTS, _OWN_NETWORK = "/proc/self/ns/mnt", "/proc/self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def setns(fd: int, kind: int) -> None:
    """Move this thread into the namespace open at `fd`. Raises OSError."""
    _check(_libc.setns(fd, kind), "setns")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    args = (os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(data))
    _check(_libc.mount(*args), f"mount {kind}")


def unmount(target: str) -> None:
    """Detach the mount at `target`; it is gone for good when its last user is."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), "umount")


def prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), "prctl")


def punch_hole(fd: int, length: int) -> None:
    """Give back the disk space of a file's first `length` bytes, which then read as zeros."""
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    _check(_libc.fallocate(fd, mode, 0, length), "fallocate")


def own_mount_namespace() -> None:
    """Leave the host's mount table: what is mounted from now on is seen by us and our children only.

    Mounts made on the host later still appear here.
    """
    unshare(CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_SLAVE)


def own_user_namespace() -> None:
    """Become the same user in a user namespace of one's own, with all rights there until a program is started."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1\n")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1\n")


@contextmanager
def network_namespace(path: str | None) -> Generator[None]:
    """Run the body, and start its children, in the network namespace at `path`; None changes nothing."""
    if path is None:
        yield
        return
    away = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _back_to(_OWN_NETWORK, CLONE_NEWNET):
            setns(away, CLONE_NEWNET)
            yield
    finally:
        os.close(away)


@contextmanager
def fresh_mount_namespace() -> Generator[int]:
    """Run the body, and start its children, with a copy of our mount table. Gives a descriptor of it, to be closed.

    Needs `own_mount_namespace`. What is mounted there is gone when its last process and descriptor are.
    """
    with _back_to(_OWN_MOUNTS, CLONE_NEWNS):
        unshare(CLONE_NEWNS)
        yield os.open(_OWN_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def mount_namespace(fd: int) -> Generator[None]:
    """Run the body among the mounts of `fresh_mount_namespace`."""
    with _back_to(_OWN_MOUNTS, CLONE_NEWNS):
        setns(fd, CLONE_NEWNS)
        yield


@contextmanager
def _back_to(name: str, kind: int) -> Generator[None]:
    home = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            setns(home, kind)
        finally:
            os.close(home)


def children(pid: int) -> list[int]:
    """The children of a process, oldest first; none when it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
