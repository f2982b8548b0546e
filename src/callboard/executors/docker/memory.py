"""Sees a container run out of memory where its engine does not tell at once: in the kernel's own control group.

Podman has no event of it, and a note only for a container that is over, which some versions lose. A container whose
child is killed would go on, half dead, as if nothing had happened.
"""

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress

from callboard.executors.launcher.cgroups import Group
from callboard.executors.launcher.hierarchies import Place, places_of, write_if_possible


class MemoryWatch:
    """For use on one event loop, from when the container's first process is there."""

    def __init__(self, on_kill: Callable[[], None]) -> None:
        self._on_kill = on_kill
        self._descriptors: list[int] = []

    def begin(self, pid: int, container_id: str) -> bool:
        """Call `on_kill` once the kernel kills a process of the container for want of memory.

        False when `pid` is none of the container's: it may be of another machine, or namespace.
        """
        place = next((p for p in places_of(pid, "memory") if container_id in p.path.name), None)
        if place is None:
            return False
        group = Group({"memory": place})
        with suppress(OSError):  # the group is gone when the container is over
            if place.version == 2:
                self._watch_events(place, group)
            elif (event := group.open_oom_event()) is not None:
                self._descriptors.append(event)
                self._loop.add_reader(event, self._signalled, event, place)
        if group.oom_kills():
            self._on_kill()
        return True

    def end(self) -> None:
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._descriptors.clear()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _signalled(self, event: int, place: Place) -> None:
        """Also when the group is removed: then its files are gone already."""
        with suppress(BlockingIOError):
            if os.eventfd_read(event) > 1 or (place.path / "memory.oom_control").exists():
                self._on_kill()

    def _watch_events(self, place: Place, group: Group) -> None:
        """Have the kernel kill the group whole, and tell. Its file is always readable, and urgent when changed."""
        write_if_possible(place.path / "memory.oom.group", "1")
        events = os.open(place.path / "memory.events", os.O_RDONLY | os.O_CLOEXEC)
        self._descriptors.append(events)
        with select.epoll() as urgent:
            urgent.register(events, select.EPOLLPRI)
            poller = os.dup(urgent.fileno())
        self._descriptors.append(poller)
        self._loop.add_reader(poller, self._changed, events, poller, group)

    def _changed(self, events: int, poller: int, group: Group) -> None:
        try:
            os.pread(events, 4096, 0)  # or it stays urgent
        except OSError:
            self._loop.remove_reader(poller)  # the group is gone
        if group.oom_kills():
            self._on_kill()
