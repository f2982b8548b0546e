"""The system calls a sandboxed program may not make, as a filter for the kernel (classic BPF).

The sandbox takes away rights; this takes away ways to the kernel's rarely used parts, in which most of its holes have
been found, and which no Actor needs. What is refused is what container engines refuse by default: keyrings, kernel
modules, tracing and BPF, mounts and further namespaces, io_uring, exotic kinds of sockets, typing into a terminal.
Refused calls fail as if the kernel could not do it or the right to it were missing, so that programs fall back.

Needs nothing but the standard library. Where the processor is not known there is no filter.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
"""Where the kernel's description of a call has them; low words, as both processors are little endian."""

_NEW_NAMESPACES = 0x7E020000
"""The flags of `clone` that make any."""
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_FIRST_PROCESS = 1
"""Part of the sandbox. A program may trace its own children, not this one: it would never be seen to end."""
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Those that change no address: Linux, 32 bit, an old version number, and asking which it is."""


@dataclass(frozen=True)
class _Machine:
    """Numbers of system calls, by name. `foreign_from` is where those of another ABI begin."""

    arch: int
    denied: dict[str, int]
    """Fail as if the right to them were missing."""
    missing: dict[str, int]
    """Fail as if the kernel had them not."""
    checked: dict[str, int]
    """Fail for some arguments."""
    foreign_from: int | None = None


_SAME_EVERYWHERE_DENIED = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "set_mempolicy_home_node": 450,
    "open_tree_attr": 467,
}
_SAME_EVERYWHERE_MISSING = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "clone3": 435,  # Its flags are out of a filter's sight; the C library falls back to `clone`.
}

_X86_64 = _Machine(
    arch=0xC000003E,
    foreign_from=0x40000000,  # x32
    denied={
        **_SAME_EVERYWHERE_DENIED,
        "uselib": 134,
        "ustat": 136,
        "sysfs": 139,
        "vhangup": 153,
        "pivot_root": 155,
        "_sysctl": 156,
        "acct": 163,
        "settimeofday": 164,
        "mount": 165,
        "umount2": 166,
        "swapon": 167,
        "swapoff": 168,
        "reboot": 169,
        "sethostname": 170,
        "setdomainname": 171,
        "iopl": 172,
        "ioperm": 173,
        "create_module": 174,
        "init_module": 175,
        "delete_module": 176,
        "get_kernel_syms": 177,
        "query_module": 178,
        "quotactl": 179,
        "nfsservctl": 180,
        "lookup_dcookie": 212,
        "clock_settime": 227,
        "mbind": 237,
        "set_mempolicy": 238,
        "get_mempolicy": 239,
        "kexec_load": 246,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "migrate_pages": 256,
        "unshare": 272,
        "move_pages": 279,
        "perf_event_open": 298,
        "fanotify_init": 300,
        "open_by_handle_at": 304,
        "clock_adjtime": 305,
        "setns": 308,
        "kcmp": 312,
        "finit_module": 313,
        "kexec_file_load": 320,
        "bpf": 321,
        "userfaultfd": 323,
        "syslog": 103,
    },
    missing=_SAME_EVERYWHERE_MISSING,
    checked={
        "ioctl": 16,
        "socket": 41,
        "socketpair": 53,
        "clone": 56,
        "ptrace": 101,
        "personality": 135,
    },
)

_AARCH64 = _Machine(
    arch=0xC00000B7,
    denied={
        **_SAME_EVERYWHERE_DENIED,
        "lookup_dcookie": 18,
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "nfsservctl": 42,
        "vhangup": 58,
        "quotactl": 60,
        "acct": 89,
        "unshare": 97,
        "kexec_load": 104,
        "init_module": 105,
        "delete_module": 106,
        "clock_settime": 112,
        "syslog": 116,
        "reboot": 142,
        "sethostname": 161,
        "setdomainname": 162,
        "settimeofday": 170,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "swapon": 224,
        "swapoff": 225,
        "mbind": 235,
        "get_mempolicy": 236,
        "set_mempolicy": 237,
        "migrate_pages": 238,
        "move_pages": 239,
        "perf_event_open": 241,
        "fanotify_init": 262,
        "open_by_handle_at": 265,
        "clock_adjtime": 266,
        "setns": 268,
        "kcmp": 272,
        "finit_module": 273,
        "bpf": 280,
        "userfaultfd": 282,
        "kexec_file_load": 294,
    },
    missing=_SAME_EVERYWHERE_MISSING,
    checked={
        "ioctl": 29,
        "personality": 92,
        "ptrace": 117,
        "socket": 198,
        "socketpair": 199,
        "clone": 220,
    },
)

_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


@cache
def seccomp_filter(machine: str = "") -> bytes:
    """The filter for a processor, by default this machine's. Empty for one that is not known, or a kernel without."""
    if not machine and not _is_supported():
        return b""
    known = _MACHINES.get(machine or os.uname().machine)
    return b"".join(_program(known)) if known else b""


def _is_supported() -> bool:
    try:
        return "errno" in Path("/proc/sys/kernel/seccomp/actions_avail").read_text()
    except OSError:
        return False


def _program(machine: _Machine) -> list[bytes]:
    foreign = machine.foreign_from
    return [
        _word(_LOAD, _ARCH),
        *_when(_EQUAL, machine.arch, [], otherwise=[_refuse(errno.ENOSYS)]),
        _word(_LOAD, _NUMBER),
        *([] if foreign is None else _when(_AT_LEAST, foreign, [_refuse(errno.ENOSYS)])),
        *_calls(machine.missing.values(), [_refuse(errno.ENOSYS)]),
        *_calls(machine.denied.values(), [_refuse(errno.EPERM)]),
        *_looked_into(machine),
        _word(_RETURN, _ALLOW),
    ]


def _looked_into(machine: _Machine) -> list[bytes]:
    """The calls that are refused for some of their arguments only."""
    no, no_family = [_refuse(errno.EPERM)], [_refuse(errno.EAFNOSUPPORT)]
    yes = [_word(_RETURN, _ALLOW)]
    first, second = _word(_LOAD, _FIRST_ARGUMENT), _word(_LOAD, _FIRST_ARGUMENT + 8)
    typing = [word for request in _TERMINAL_INPUT for word in _when(_EQUAL, request, no)]
    personality = [word for known in _PERSONALITIES for word in _when(_EQUAL, known, yes)]
    family = [word for known in _FAMILIES for word in _when(_EQUAL, known, yes)]
    number = machine.checked
    return [
        *_calls([number["clone"]], [first, *_when(_ANY_BIT, _NEW_NAMESPACES, no), *yes]),
        *_calls([number["ioctl"]], [second, *typing, *yes]),
        *_calls([number["ptrace"]], [second, *_when(_EQUAL, _FIRST_PROCESS, no), *yes]),
        *_calls([number["personality"]], [first, *personality, *no]),
        *_calls([number["socket"], number["socketpair"]], [first, *family, *no_family]),
    ]


def _calls(numbers: Iterable[int], body: list[bytes]) -> list[bytes]:
    return [word for number in numbers for word in _when(_EQUAL, number, body)]


def _when(
    test: int, value: int, body: list[bytes], *, otherwise: Sequence[bytes] = ()
) -> list[bytes]:
    """`body`, which returns, for a loaded word that passes the test; or `otherwise`, for one that does not."""
    if otherwise:
        return [_word(test, value, if_true=len(otherwise)), *otherwise, *body]
    return [_word(test, value, if_false=len(body)), *body]


def _refuse(number: int) -> bytes:
    return _word(_RETURN, _ERRNO | number)


def _word(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction. Jumps say how many of the following to leave out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
