"""The launcher's event loop: descriptors, timers and ended children, in one thread. It never polls."""

import heapq
import itertools
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

READ, WRITE, PRIORITY = select.EPOLLIN, select.EPOLLOUT, select.EPOLLPRI


class Timer:
    """A call to come."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self._call = None

    def fire(self) -> None:
        call, self._call = self._call, None
        if call:
            call()


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._children: dict[int, Callable[[int], None]] = {}
        self._running = True
        self.after_reaping: Callable[[], None] = lambda: None
        """Called when children have ended, orphans among them: a dying tree may be gone now."""
        self._watch_signals()

    def watch(self, fd: int, events: int, callback: Callable[[], object]) -> None:
        """Call back whenever `fd` is ready; a second call for the same `fd` replaces the first."""
        known = fd in self._callbacks
        self._callbacks[fd] = callback
        (self._epoll.modify if known else self._epoll.register)(fd, events)

    def unwatch(self, fd: int) -> None:
        """To be called before `fd` is closed."""
        if self._callbacks.pop(fd, None):
            self._epoll.unregister(fd)

    def call_later(self, secs: float, call: Callable[[], object]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + secs, next(self._count), timer))
        return timer

    def on_exit(self, pid: int, call: Callable[[int], None]) -> None:
        """Call back with the wait status of a child when it ends."""
        self._children[pid] = call

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            for fd, _ in self._epoll.poll(self._timeout()):
                if callback := self._callbacks.get(fd):
                    self._guarded(callback)
            self._fire_timers()

    def _timeout(self) -> float:
        return max(self._timers[0][0] - time.monotonic(), 0) if self._timers else -1

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            self._guarded(heapq.heappop(self._timers)[2].fire)

    def _watch_signals(self) -> None:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self.watch(read, READ, lambda: self._reap(read))

    def _reap(self, fd: int) -> None:
        """Collect all ended children, also orphans of jobs that became ours."""
        with suppress(BlockingIOError):
            os.read(fd, 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if call := self._children.pop(pid, None):
                    self._guarded(lambda call=call, status=status: call(status))
        self._guarded(self.after_reaping)

    def _guarded(self, call: Callable[[], object]) -> None:
        """One job's bad luck must not end the others'."""
        try:
            call()
        except Exception:  # noqa: BLE001  the loop's edge
            traceback.print_exc(file=sys.stderr)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler has to be there for the signal to reach the wake-up descriptor."""
