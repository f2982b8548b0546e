"""The filter of system calls, read as the kernel reads it. That it is in force is shown by attacks from inside."""

import errno
import socket
import struct

import pytest

from callboard.executors.launcher.seccomp import seccomp_filter

ALLOWED = 0
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CALLS = {
    "x86_64": {"read": 0, "execve": 59, "clone": 56, "socket": 41, "ioctl": 16, "mount": 165,
               "ptrace": 101, "personality": 135, "bpf": 321, "setns": 308, "futex": 202},
    "aarch64": {"read": 63, "execve": 221, "clone": 220, "socket": 198, "ioctl": 29, "mount": 40,
                "ptrace": 117, "personality": 92, "bpf": 280, "setns": 268, "futex": 98},
}  # fmt: skip
EVERYWHERE = {"io_uring_setup": 425, "clone3": 435, "openat2": 437, "fsmount": 432}
THREAD = 0x3D0F00
NEW_USER = 0x10000000


def judged(machine: str, number: int, *args: int, arch: int | None = None) -> int:
    """The error a call fails with, or ALLOWED."""
    words = (number, arch or ARCH[machine], 0, 0)
    data = struct.pack("=IIII6Q", *words, *args, *[0] * (6 - len(args)))
    program = list(struct.iter_unpack("=HBBI", seccomp_filter(machine)))
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x06:
            return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
            continue
        passed = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
        at += if_true if passed else if_false


@pytest.fixture(params=ARCH)
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("call", "args", "error"),
    [
        ("read", (), ALLOWED),
        ("execve", (), ALLOWED),
        ("futex", (), ALLOWED),
        ("openat2", (), ALLOWED),
        ("mount", (), errno.EPERM),
        ("fsmount", (), errno.EPERM),
        ("bpf", (), errno.EPERM),
        ("setns", (), errno.EPERM),
        ("io_uring_setup", (), errno.ENOSYS),
        ("clone3", (), errno.ENOSYS),
        ("clone", (THREAD,), ALLOWED),
        ("clone", (NEW_USER | 17,), errno.EPERM),
        ("ioctl", (0, 0x5413), ALLOWED),
        ("ioctl", (0, 0x5412), errno.EPERM),
        ("ioctl", (0, 0xFFFFFFFF_00005412), errno.EPERM),
        ("ptrace", (0, 0), ALLOWED),
        ("ptrace", (16, 1), errno.EPERM),
        ("personality", (0xFFFFFFFF,), ALLOWED),
        ("personality", (0x40000,), errno.EPERM),
        ("socket", (socket.AF_INET6,), ALLOWED),
        ("socket", (socket.AF_NETLINK,), ALLOWED),
        ("socket", (40,), errno.EAFNOSUPPORT),
    ],
)
def test_calls_are_judged_by_number_and_arguments(
    machine: str, call: str, args: tuple[int, ...], error: int
):
    number = CALLS[machine].get(call) or EVERYWHERE.get(call, 0)
    assert judged(machine, number, *args) == error


def test_calls_of_another_abi_do_not_exist(machine: str):
    assert judged(machine, 0, arch=0x40000003) == errno.ENOSYS
    assert judged("x86_64", 0x40000000 | CALLS["x86_64"]["mount"]) == errno.ENOSYS


def test_an_unknown_processor_has_no_filter():
    assert seccomp_filter("riscv64") == b""
