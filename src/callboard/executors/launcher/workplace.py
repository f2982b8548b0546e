"""What a job holds while it runs, and gives back at its end: network, control group, sources, output."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from callboard.executors.base import LaunchSpec
from callboard.executors.launcher import linux
from callboard.executors.launcher.capture import Capture
from callboard.executors.launcher.cgroups import Cgroups, Group, Limits, Usage
from callboard.executors.launcher.ladder import Ladder
from callboard.executors.launcher.loop import READ, Loop
from callboard.executors.launcher.meter import interface_bytes
from callboard.executors.launcher.network import Lease, Network
from callboard.executors.launcher.records import JobFolder, JobFolders
from callboard.executors.launcher.sources import Sources
from callboard.executors.launcher.tree import Tree


class Reporter(Protocol):
    """Who wants to know what jobs do."""

    def log_grew(self, log_id: str) -> None: ...

    def ended(self, job_id: str) -> None: ...

    def left_group(self, group: Group) -> None:
        """A group that could not be removed yet."""
        ...


@dataclass(frozen=True)
class Site:
    """What all jobs of a launcher share."""

    loop: Loop
    cgroups: Cgroups
    network: Network
    ladder: Ladder
    folders: JobFolders
    reporter: Reporter


class Workplace:
    """Open before the start, closed after the end, also when opening failed half way."""

    def __init__(self, spec: LaunchSpec, folder: JobFolder, site: Site) -> None:
        self._spec, self._folder, self._site = spec, folder, site
        self.sources = Sources(spec, folder.mounts, use_overlay=site.ladder.source == "overlay")
        self.capture: Capture | None = None
        self.lease: Lease | None = None
        self._group: Group | None = None
        self._oom_event: int | None = None
        self._tree: Tree | None = None

    def open(self, *, on_oom: Callable[[], None]) -> None:
        """Raises OSError."""
        spec, site = self._spec, self._site
        self.capture = Capture(site.loop, spec.log_path, spec.secrets)
        self.capture.grew = lambda: site.reporter.log_grew(spec.log_id)
        self.lease = site.network.lease()
        if group := site.cgroups.group(spec.job_id):
            self._group = group
            group.create(Limits(spec.memory_mbytes * 1024 * 1024, spec.cpus, spec.pids_max))
            self._watch_memory(group, on_oom)
        if spec.sandboxed:
            self.sources.prepare()

    @property
    def joins(self) -> tuple[str, ...]:
        return self._group.joins if self._group else ()

    def occupied_by(self, pid: int) -> None:
        """The first process of the job's tree."""
        self._tree = Tree(pid)

    def saw(self, pid: int) -> None:
        """Another process of the tree."""
        if self._tree:
            self._tree.add(pid)

    def kill(self) -> None:
        """Kill the whole tree. Harmless when it is dead."""
        if self._group and self._site.ladder.can_kill_groups:
            self._group.kill()
        elif self._tree:
            self._tree.kill()

    def terminate(self) -> None:
        """Ask the program to end: SIGTERM to its main process, as containers do."""
        if self._tree and (pid := self._main_process(self._tree.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def is_occupied(self) -> bool:
        """Whether a process of the tree is alive."""
        if self._group and self._site.ladder.can_kill_groups:
            return self._group.is_populated()
        return bool(self._tree and self._tree.look())

    def ran_out_of_memory(self) -> bool:
        return bool(self._group and self._group.oom_kills())

    def usage(self) -> Usage:
        """Of the group where there is one that measures, else of the tree."""
        soft = self._site.ladder.memory_is_soft
        if self._group and not soft:
            return self._group.usage()
        return self._tree.usage() if self._tree else Usage(0, 0, 0)

    def traffic(self) -> tuple[int, int]:
        """Bytes received and sent through the job's own network interface."""
        if not self.lease or not self.lease.netns_path:
            return 0, 0
        with suppress(OSError), linux.network_namespace(self.lease.netns_path):
            return interface_bytes(self.lease.interface)
        return 0, 0

    def close(self) -> None:
        """Give everything back, in the order in which it was used by less and less."""
        if self._oom_event is not None:
            self._site.loop.unwatch(self._oom_event)
            os.close(self._oom_event)
            self._oom_event = None
        self.sources.close()
        if self.lease:
            self._site.network.release(self.lease)
            self.lease = None
        if self._group and not self._group.remove():
            self._site.reporter.left_group(self._group)
        self._group = None
        self._site.folders.discard_scratch(self._folder)

    def _watch_memory(self, group: Group, on_oom: Callable[[], None]) -> None:
        event = group.open_oom_event()
        if event is None:
            return

        def fired() -> None:
            with suppress(BlockingIOError):
                os.eventfd_read(event)
            on_oom()

        self._oom_event = event
        self._site.loop.watch(event, READ, fired)

    def _main_process(self, first: int) -> int | None:
        """The program itself: below bubblewrap's monitor and the init of its process namespace."""
        if not self._spec.sandboxed or self._site.ladder.filesystem != "bubblewrap":
            return first
        init = next(iter(linux.children(first)), None)
        return next(iter(linux.children(init)), None) if init else None
