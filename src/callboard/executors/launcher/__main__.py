"""`python -m callboard.executors.launcher FOLDER OPTIONS`: start the launcher of a folder and return once it serves.

`OPTIONS` are those of `protocol.Options` as JSON. It goes on as a process of its own, away from the terminal and
the parent. Exit code 0: one is serving, this or an earlier one. Else the reason is on stderr.
"""

import fcntl
import hashlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from callboard.executors.launcher import linux, protocol
from callboard.executors.launcher.cgroups import Cgroups
from callboard.executors.launcher.ladder import best_sandbox
from callboard.executors.launcher.network import Lease, Network, open_network
from callboard.executors.launcher.network_host import HostPlumbing
from callboard.executors.launcher.service import Launcher
from callboard.executors.launcher.sources import can_overlay

_OLD_ONE_SECS = 15
_OPEN_FILES = 65536


def main(folder: Path, options: protocol.Options) -> int:
    """Become a daemon; the first process waits for its word, and passes it on."""
    # A starter's event loop may leave files open in us, and wait for us to close them.
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        with os.fdopen(read) as pipe:
            word = pipe.read()
        if word != "serving":
            sys.stderr.write(word or "the launcher died while starting, see launcher.log\n")
        return 0 if word == "serving" else 1
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(read)
    _detach(folder)
    _serve(folder, options, write)
    return 0


def _detach(folder: Path) -> None:
    os.chdir("/")
    os.umask(0o022)
    log = os.open(folder / "launcher.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    for fd, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, target)
    os.close(log)
    os.close(null)
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def _serve(folder: Path, options: protocol.Options, write: int) -> None:
    with os.fdopen(write, "w") as word:
        try:
            lock = _lock(folder)
            if lock is None:
                word.write("serving")
                return
            launcher, listener, close = _set_up(folder, options)
            word.write("serving")
        except OSError as error:
            traceback.print_exc()
            word.write(f"{error}\n")
            return
    try:
        launcher.run(listener)
    finally:
        (folder / protocol.SOCKET_NAME).unlink(missing_ok=True)
        close()
        os._exit(0)  # servers take the end of their connection for the end of this process


def _lock(folder: Path) -> int | None:
    """Be the one launcher of the folder. None when another serves; one on its way out is waited for."""
    lock = os.open(folder / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(OSError):  # nobody answers: it is on its way out
            protocol.connect(folder).close()
            return None
        signal.alarm(_OLD_ONE_SECS)
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.alarm(0)
    return lock


def _set_up(
    folder: Path, options: protocol.Options
) -> tuple[Launcher, socket.socket, Callable[[], None]]:
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    overlay = _can_mount_apart(folder)
    if overlay:
        _come_apart()
    name = "callboard-" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    cgroups = Cgroups(name)
    network = _network(folder, options)
    launcher = Launcher(folder, options, cgroups=cgroups, network=network, overlay=overlay)

    def close() -> None:
        network.close()
        cgroups.close()

    return launcher, protocol.listen(folder), close


def _can_mount_apart(folder: Path) -> bool:
    """Whether overlays can be mounted after `_come_apart`: tried by a child, as there is no way back."""
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            _come_apart()
            os._exit(0 if can_overlay(folder) else 1)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _come_apart() -> None:
    """Have mounts that nobody else sees. Other users than root need a user namespace for it. Raises OSError."""
    if os.geteuid() != 0:
        linux.own_user_namespace()
    linux.own_mount_namespace()


def _network(folder: Path, options: protocol.Options) -> Network:
    """The best one in which sandboxes work too: some lead through a user namespace without our job's user."""
    network = open_network(
        folder, api_port=options.api_port, allow_local=options.allow_local_network
    )
    lease = network.lease()
    if lease is None or not lease.argv_prefix:
        _give_back(network, lease)
        return network
    found, why = best_sandbox(folder, options.sandbox, lease.argv_prefix)
    _give_back(network, lease)
    if found == best_sandbox(folder, options.sandbox)[0]:
        return network
    network.close()
    return Network(
        HostPlumbing(api_port=options.api_port), better=(f"{network.rung} not used: {why}",)
    )


def _give_back(network: Network, lease: Lease | None) -> None:
    if lease:
        network.release(lease)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), protocol.Options(**json.loads(sys.argv[2]))))
