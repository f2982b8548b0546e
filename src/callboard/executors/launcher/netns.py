"""Network namespaces held by an open file: no name, no mount, nothing to clean up after a crash.

A namespace lives while a process is in it or a descriptor of it is open. With the launcher's last one
closed, also by its death, the kernel takes the namespace away and the links in it.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from callboard.executors.launcher import linux

_OWN = "/proc/thread-self/ns/net"


def create_namespace() -> int:
    """Return the descriptor of a new namespace in which new links get no IPv6. Raises OSError."""
    with _coming_back():
        linux.unshare(linux.CLONE_NEWNET)
        descriptor = os.open(_OWN, os.O_RDONLY)
        try:
            _turn_ipv6_off()
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


@contextmanager
def inside(namespace_fd: int) -> Generator[None]:
    """Put the calling thread into a namespace: sockets made meanwhile belong there for good."""
    with _coming_back():
        linux.setns(namespace_fd, linux.CLONE_NEWNET)
        yield


def own_namespace_id() -> int:
    """The calling thread's network namespace; never the same for two that exist at one time."""
    return Path(_OWN).stat().st_ino


def path_of(namespace_fd: int) -> str:
    """Where any process that sees this one can open the namespace, while this one keeps it open."""
    return f"/proc/{os.getpid()}/fd/{namespace_fd}"


@contextmanager
def _coming_back() -> Generator[None]:
    home = os.open(_OWN, os.O_RDONLY)
    try:
        yield
    finally:
        try:
            linux.setns(home, linux.CLONE_NEWNET)
        finally:
            os.close(home)


def _turn_ipv6_off() -> None:
    # Loopback keeps ::1, which programs expect to find. A kernel without IPv6 has no such file.
    setting = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    if setting.exists():
        setting.write_text("1")
