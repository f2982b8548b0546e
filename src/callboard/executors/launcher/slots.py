"""Places for jobs, made ahead: control group, network and a waiting shell, so that a start is one line to it."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path

from callboard.executors.launcher import linux
from callboard.executors.launcher.cgroups import Cgroups, Group
from callboard.executors.launcher.loop import Loop
from callboard.executors.launcher.network import Lease, Network
from callboard.executors.launcher.spawn import spawn_waiting

_READY = 6
_REFILL_SECS = 0.03


class Slot:
    """A place for one job. Whoever took it closes `output_fd` and `status_fd`, and gives it back when empty."""

    def __init__(
        self, number: int, cgroups: Cgroups, lease: Lease | None, *, has_mounts: bool
    ) -> None:
        self.lease = lease
        self._mounts: int | None = None
        self._control = -1
        self.group = cgroups.group(f"slot-{number}")
        with ExitStack() as of_shell, ExitStack() as of_failed:
            if self.group:
                of_failed.callback(self.group.remove)
                self.group.create()
            of_failed.callback(self.leave)
            self.output_fd, output = _pipe(of_failed, of_shell)
            self.status_fd, status = _pipe(of_failed, of_shell)
            control, self._control = os.pipe2(os.O_CLOEXEC)
            of_shell.callback(os.close, control)
            for fd in (self.output_fd, self.status_fd):
                os.set_blocking(fd, False)
            netns_path = lease.netns_path if lease else ""
            joins = self.group.joins if self.group else ()
            with linux.fresh_mount_namespace() if has_mounts else nullcontext() as self._mounts:
                self.pid = spawn_waiting(
                    joins, netns_path or None, control=control, output=output, status=status
                )
            of_failed.pop_all()

    def mounting(self) -> AbstractContextManager[None]:
        """What is mounted in the body is seen in this slot only, and gone with it.

        Were it in the launcher's own table, each start would take longer for every job that runs.
        """
        return nullcontext() if self._mounts is None else linux.mount_namespace(self._mounts)

    def start(self, script: Path) -> None:
        """Let the waiting shell run a script. Raises OSError when it has died."""
        os.write(self._control, os.fsencode(script) + b"\n")
        self.abandon()

    def abandon(self) -> None:
        """Let the shell end, if it still waits."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def leave(self) -> None:
        """No process is left in it, or will be."""
        self.abandon()
        if self._mounts is not None:
            os.close(self._mounts)
            self._mounts = None


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    """The two ends, each to be closed with its stack."""
    ends = os.pipe2(os.O_CLOEXEC)
    for stack, end in zip((reading, writing), ends, strict=True):
        stack.callback(os.close, end)
    return ends


class Slots:
    """The slots of a launcher. `on_left` gets groups that could not be removed yet.

    With `has_mounts` each has mounts of its own; that takes an `own_mount_namespace`.
    """

    def __init__(
        self,
        loop: Loop,
        cgroups: Cgroups,
        network: Network,
        on_left: Callable[[Group], None],
        *,
        has_mounts: bool,
    ) -> None:
        self._loop, self._cgroups, self._network = loop, cgroups, network
        self._on_left, self._has_mounts = on_left, has_mounts
        self._ready: list[Slot] = []
        self._count = 0
        self._refilling = self._closed = False

    def take(self) -> Slot:
        """One that is ready, or else made now. Raises OSError."""
        self.refill()
        if self._ready:
            return self._ready.pop(0)
        return self._make()

    def give_back(self, slot: Slot) -> None:
        """No process is left in it."""
        slot.leave()
        if slot.lease:
            self._network.release(slot.lease)
        if slot.group and not slot.group.remove():
            self._on_left(slot.group)

    def refill(self) -> None:
        """Make more, and networks for them, a little at a time between other work."""
        if not self._refilling and not self._closed:
            self._refilling = True
            self._loop.call_later(_REFILL_SECS, self._refill_some)

    def close(self) -> None:
        """Let go of those that wait."""
        self._closed = True
        for slot in self._ready:
            if slot.group:
                slot.group.kill()
            self._discard(slot)
        self._ready.clear()

    def _refill_some(self) -> None:
        self._refilling = False
        if self._closed:
            return
        try:
            if len(self._ready) < _READY:
                self._keep(self._make())
            more = self._network.refill()
        except OSError as error:
            sys.stderr.write(f"nothing prepared ahead: {error}\n")
            return
        if more or len(self._ready) < _READY:
            self.refill()

    def _make(self) -> Slot:
        self._count += 1
        lease = self._network.lease()
        try:
            return Slot(self._count, self._cgroups, lease, has_mounts=self._has_mounts)
        except OSError:
            if lease:
                self._network.release(lease)
            raise

    def _keep(self, slot: Slot) -> None:
        self._ready.append(slot)
        self._loop.on_exit(slot.pid, lambda _: self._died(slot))

    def _died(self, slot: Slot) -> None:
        """A waiting shell was killed by somebody else."""
        if slot in self._ready:
            self._ready.remove(slot)
            self._discard(slot)

    def _discard(self, slot: Slot) -> None:
        for fd in (slot.output_fd, slot.status_fd):
            with suppress(OSError):  # closed by whoever used it
                os.close(fd)
        self.give_back(slot)
