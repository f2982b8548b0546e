"""Sockets that belong to a run's network, for connecting to what listens there, be it on loopback only.

A socket stays in the namespace it was made in, whichever process holds it: so the launcher makes one, unconnected,
and hands it to the server, whatever the namespaces are made of, and never waits for a run itself.
"""

import os
import socket

from callboard.executors.launcher import linux
from callboard.executors.launcher.network_lease import Lease

_CHILD_SECS = 5


def open_socket(lease: Lease | None) -> socket.socket:
    """A TCP socket, not yet connected, in the lease's network; without one in the host's. Raises OSError."""
    if lease is None or lease.holder_pid is None:
        with linux.network_namespace(lease.netns_path if lease else None):
            return socket.socket()
    return _from_child(lease.holder_pid)


def _from_child(holder_pid: int) -> socket.socket:
    """Made by a child: whoever enters a user namespace can never come back."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = os.fork()
            if not child:
                _send_socket(theirs, holder_pid)
        try:
            ours.settimeout(_CHILD_SECS)
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        finally:
            os.waitpid(child, 0)
    if not descriptors:
        raise OSError("the network of the job cannot be entered")
    return socket.socket(fileno=descriptors[0])


def _send_socket(to: socket.socket, holder_pid: int) -> None:
    """What the child does; it never returns."""
    try:
        namespaces = [
            (os.open(f"/proc/{holder_pid}/ns/{name}", os.O_RDONLY), kind)
            for name, kind in (("user", linux.CLONE_NEWUSER), ("net", linux.CLONE_NEWNET))
        ]
        for descriptor, kind in namespaces:
            linux.setns(descriptor, kind)
        with socket.socket() as made:
            socket.send_fds(to, [b"s"], [made.fileno()])
    finally:
        os._exit(0)
