"""System calls for making namespaces and mounts, which Python has no functions for. All raise OSError.

The mounts are made with the interface of Linux 5.12, which can do all of it on descriptors: what is to be shown is
picked up first, then the old root is let go of, then everything is put in place.
"""

import ctypes
import os

NEW_USER, NEW_MOUNT, NEW_PID = 0x10000000, 0x00020000, 0x20000000
NEW_IPC, NEW_UTS, NEW_CGROUP = 0x08000000, 0x04000000, 0x02000000

READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 0x1, 0x2, 0x4, 0x8
"""Attributes of mounts; the flags of `mount` have the same values."""
_RECURSIVE, _EMPTY_PATH, _HERE = 0x8000, 0x1000, -100
_MS_RECURSIVE, _MS_SLAVE, _DETACH = 0x4000, 0x80000, 0x2

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CLONE_TREE, _CLOSE_ON_EXEC, _FROM_DESCRIPTOR = 0x1, 0x80000, 0x4
_CREATE = 6

_PDEATHSIG, _DUMPABLE, _SECCOMP, _BOUNDING_DROP, _NO_NEW_PRIVS = 1, 4, 22, 24, 38
_FILTER_MODE = 2
_KILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_mount = _libc.mount
_mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _call(number: int, *args: int | bytes | None) -> int:
    """Numbers are passed in full width, as the C function takes any."""
    words = [ctypes.c_long(arg) if isinstance(arg, int) else ctypes.c_char_p(arg) for arg in args]
    return _checked(_syscall(ctypes.c_long(number), *words))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags))


def set_hostname(name: str) -> None:
    data = os.fsencode(name)
    _checked(_libc.sethostname(data, len(data)))


def mount(kind: str, target: str, flags: int, data: str = "") -> None:
    words = kind.encode(), os.fsencode(target), kind.encode(), flags, os.fsencode(data)
    _checked(_mount(*words))


def keep_mounts_to_ourselves() -> None:
    """What is mounted from now on is not seen outside of this mount namespace."""
    _checked(_mount(None, b"/", None, _MS_RECURSIVE | _MS_SLAVE, None))


def pick_up(path: str) -> int:
    """A copy of what is mounted at a path and below it, with no place yet, as a descriptor."""
    return _call(_OPEN_TREE, _HERE, os.fsencode(path), _CLONE_TREE | _RECURSIVE | _CLOSE_ON_EXEC)


def make_proc() -> int:
    """A `/proc` of the process namespace we are in, with no place yet, as a descriptor."""
    context = _call(_FSOPEN, b"proc", 1)
    try:
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_FSMOUNT, context, 1, NO_SUID | NO_DEVICES | NO_EXEC)
    finally:
        os.close(context)


def restrict(tree: int, attributes: int) -> None:
    """Set attributes on what was picked up, everywhere below too."""
    _set_attributes(tree, b"", _EMPTY_PATH | _RECURSIVE, attributes)


def restrict_place(path: str, attributes: int) -> None:
    """Set attributes on the one mount at a path."""
    _set_attributes(_HERE, os.fsencode(path), 0, attributes)


def _set_attributes(folder: int, path: bytes, flags: int, attributes: int) -> None:
    wanted = attributes.to_bytes(8, "little") + bytes(24)
    _call(_MOUNT_SETATTR, folder, path, flags, wanted, len(wanted))


def put(tree: int, target: str) -> None:
    """Give what was picked up its place, and close the descriptor."""
    try:
        _call(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(target), _FROM_DESCRIPTOR)
    finally:
        os.close(tree)


def leave_root_for(folder: str) -> None:
    """Make the mount at `folder` the root; what the old one held is out of reach."""
    os.chdir(folder)
    _call(_PIVOT_ROOT[os.uname().machine], b".", b".")
    _checked(_libc.umount2(b".", _DETACH))
    os.chdir("/")


def die_with_parent() -> None:
    _checked(_prctl(_PDEATHSIG, _KILL, 0, 0, 0))


def hide_from_debuggers() -> None:
    _checked(_prctl(_DUMPABLE, 0, 0, 0, 0))


def heed_signals() -> None:
    """Python ignores some, and what is ignored stays so in programs that are started."""
    for number in (_SIGPIPE, _SIGXFSZ):
        _libc.signal(number, None)


def gain_no_rights() -> None:
    """From here on no program that is started has more rights than we have."""
    _checked(_prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))


def keep_capabilities(kept: list[int]) -> None:
    """Give up all others, also for the programs that are started."""
    number = 0
    while number < 64 and (number in kept or _prctl(_BOUNDING_DROP, number, 0, 0, 0) == 0):
        number += 1
    mask = sum(1 << number for number in kept)
    low, high = (mask & 0xFFFFFFFF).to_bytes(4, "little"), (mask >> 32).to_bytes(4, "little")
    nothing = bytes(4)
    header = _CAPABILITY_VERSION_3.to_bytes(4, "little") + nothing
    _checked(_libc.capset(header, low + low + nothing + high + high + nothing))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("words", ctypes.c_char_p))


def filter_calls(words: bytes) -> None:
    """Hold us, and all that we start, to a filter of system calls. Needs `gain_no_rights` first."""
    program = _Program(len(words) // 8, words)
    _checked(_prctl(_SECCOMP, _FILTER_MODE, ctypes.addressof(program), 0, 0))
