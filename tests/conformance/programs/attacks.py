"""Tries what an Actor must not be able to do. One JSON line for each attempt: [name, how it ended].

Its argument is JSON: `files` to look for, `addresses` to connect to by name, an abstract `socket` of the host.
"""

import ctypes
import errno
import fcntl
import json
import os
import pty
import resource
import socket
import struct
import sys
import time
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "x86_64": {
        "add_key": 248, "keyctl": 250, "ptrace": 101, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "init_module": 175, "kexec_load": 246, "open_by_handle_at": 304,
        "mount": 165, "umount": 166, "pivot_root": 155, "unshare": 272, "setns": 308, "clone": 56,
        "personality": 135, "syslog": 103, "shmget": 29, "swapon": 167, "reboot": 169, "chroot": 161,
    },
    "aarch64": {
        "add_key": 217, "keyctl": 219, "ptrace": 117, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "init_module": 105, "kexec_load": 104, "open_by_handle_at": 265,
        "mount": 40, "umount": 39, "pivot_root": 41, "unshare": 97, "setns": 268, "clone": 220,
        "personality": 92, "syslog": 116, "shmget": 194, "swapon": 224, "reboot": 142, "chroot": 51,
    },
}[os.uname().machine]  # fmt: skip
EVERYWHERE = {"io_uring_setup": 425, "clone3": 435, "open_tree": 428, "fsopen": 430}
NEW_USER, NEW_NET, NO_RANDOM_ADDRESSES = 0x10000000, 0x40000000, 0x40000
SIGCHLD = 17
TYPE_INTO_TERMINAL = 0x5412


def attempt(name, what):
    try:
        end = what()
        print(json.dumps([name, f"done: {end!r}"]))
    except OSError as error:
        print(json.dumps([name, errno.errorcode.get(error.errno, str(error))]))


def call(name, *args):
    number = CALLS.get(name) or EVERYWHERE[name]
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in args]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result == 0 and name == "clone":
        os._exit(0)  # the child it should not have got
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def write(path):
    with open(path, "r+") as file:
        file.write("x")


def connect(family, address):
    with socket.socket(family) as client:
        client.settimeout(1)
        client.connect(address)


def typed_into_a_terminal():
    _, terminal = pty.openpty()
    fcntl.ioctl(terminal, TYPE_INTO_TERMINAL, b"x")


def status(*names):
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return {name: lines[name].split() for name in names}


def raised_hard_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(0, resource.RLIMIT_FSIZE, (soft, hard * 2))


def files(targets):
    for path in targets:
        attempt(f"file {path}", lambda path=path: os.stat(path))
    attempt("environment of the first", lambda: Path("/proc/1/environ").read_text())
    attempt("folders of the first", lambda: os.listdir("/proc/1/root" + os.environ["OUTSIDE"]))
    attempt("upwards", lambda: os.listdir("/proc/self/root/../../.." + os.environ["OUTSIDE"]))


def places():
    for path in (
        "/usr/bin/env", "/etc/hosts", "/etc/passwd", "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/given/file", "/dev/kmsg", "/dev/mem",
    ):  # fmt: skip
        attempt(f"write {path}", lambda path=path: write(path))
    for path in ("/new", "/usr/new", "/etc/new", "/dev/new", "/given/new"):
        attempt(f"make {path}", lambda path=path: os.mkdir(path))
    for path in ("/sys", "/sys/fs/cgroup", "/boot", "/var/lib", "/run/docker.sock"):
        attempt(f"see {path}", lambda path=path: os.stat(path))
    attempt("device", lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)))


def kernel():
    nothing = b"\0" * 128
    attempt("add_key", lambda: call("add_key", b"user", b"a", b"b", 1, -4))
    attempt("keyctl", lambda: call("keyctl", 0, -4, 0))
    attempt("ptrace", lambda: call("ptrace", 16, 1, 0, 0))
    attempt("bpf", lambda: call("bpf", 0, nothing, 128))
    attempt("perf_event_open", lambda: call("perf_event_open", nothing, 0, -1, -1, 0))
    attempt("userfaultfd", lambda: call("userfaultfd", 1))
    attempt("init_module", lambda: call("init_module", nothing, 128, b""))
    attempt("kexec_load", lambda: call("kexec_load", 0, 0, 0, 0))
    attempt("open_by_handle_at", lambda: call("open_by_handle_at", 0, nothing, 0))
    attempt("syslog", lambda: call("syslog", 3, nothing, 128))
    attempt("reboot", lambda: call("reboot", 0, 0, 0, 0))
    attempt("swapon", lambda: call("swapon", b"/tmp/swap", 0))
    attempt("io_uring_setup", lambda: call("io_uring_setup", 1, nothing))
    attempt("personality", lambda: call("personality", NO_RANDOM_ADDRESSES))
    attempt("typing", typed_into_a_terminal)


def namespaces():
    attempt("mount", lambda: call("mount", b"t", b"/tmp", b"tmpfs", 0, b""))
    attempt("umount", lambda: call("umount", b"/proc", 2))
    attempt("pivot_root", lambda: call("pivot_root", b"/tmp", b"/tmp"))
    attempt("chroot", lambda: call("chroot", b"/tmp"))
    attempt("open_tree", lambda: call("open_tree", -100, b"/", 1))
    attempt("fsopen", lambda: call("fsopen", b"tmpfs", 0))
    attempt("unshare", lambda: call("unshare", NEW_USER))
    attempt("clone", lambda: call("clone", NEW_USER | NEW_NET | SIGCHLD, 0, 0, 0, 0))
    attempt("clone3", lambda: call("clone3", struct.pack("QQQQQQQQ", NEW_USER, *[0] * 7), 64))
    attempt("setns", lambda: call("setns", 0, 0))


def rights():
    attempt("capabilities", lambda: status("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"))
    attempt("rights", lambda: status("NoNewPrivs", "Seccomp", "Groups"))
    attempt("user", lambda: [os.getuid(), os.geteuid(), os.getgid(), os.getegid()])
    attempt("become root", lambda: os.setuid(0))
    attempt("become another", lambda: os.setuid(1234))
    attempt("go first", lambda: os.nice(-5))
    attempt("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
    attempt("name the host", lambda: socket.sethostname("x"))
    attempt("raise a limit", raised_hard_limit)
    attempt(
        "processes", lambda: sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    )


def network(addresses, abstract):
    for name, (address, port) in addresses.items():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        attempt(f"to {name}", lambda f=family, a=(address, port): connect(f, a))
    attempt("abstract socket", lambda: connect(socket.AF_UNIX, "\0" + abstract))
    attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    for name, family in {"packet": 17, "vsock": 40, "crypto": 38}.items():
        attempt(f"{name} socket", lambda family=family: socket.socket(family, socket.SOCK_RAW))
    attempt("shared memory", lambda: call("shmget", 0xCA11, 16, 0))


wanted = json.loads(sys.argv[1])
attempt("descriptors", lambda: sorted(map(int, os.listdir("/proc/self/fd"))))
files(wanted["files"])
places()
kernel()
namespaces()
rights()
network(wanted["addresses"], wanted["socket"])
