"""What a job holds while it runs, and gives back at its end: a slot, sources, output."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from callboard.executors.base import LaunchSpec
from callboard.executors.launcher import linux
from callboard.executors.launcher.capture import Capture
from callboard.executors.launcher.cgroups import Group, Limits, Usage
from callboard.executors.launcher.disk import Allotment
from callboard.executors.launcher.hostetc import HostEtc
from callboard.executors.launcher.ladder import Ladder
from callboard.executors.launcher.loop import READ, Loop
from callboard.executors.launcher.meter import interface_bytes
from callboard.executors.launcher.network import Lease
from callboard.executors.launcher.records import JobFolder, JobFolders
from callboard.executors.launcher.runners import NONE
from callboard.executors.launcher.scripts import Setting, write_script
from callboard.executors.launcher.slots import Slot, Slots
from callboard.executors.launcher.sources import Sources
from callboard.executors.launcher.status import StatusPipe
from callboard.executors.launcher.tree import Tree


class Reporter(Protocol):
    """Who wants to know what jobs do."""

    def log_grew(self, log_id: str) -> None: ...

    def ended(self, job_id: str) -> None: ...


@dataclass(frozen=True)
class Site:
    """What all jobs of a launcher share."""

    loop: Loop
    slots: Slots
    ladder: Ladder
    folders: JobFolders
    etc: HostEtc
    reporter: Reporter


class Workplace:
    """Opened for a job's start, closed after its end, also when the start failed half way. Raises OSError."""

    def __init__(self, spec: LaunchSpec, folder: JobFolder, site: Site) -> None:
        self._spec, self._folder, self._site = spec, folder, site
        self._slot: Slot = site.slots.take()
        self._group: Group | None = self._slot.group
        self.lease: Lease | None = self._slot.lease
        self.pid = self._slot.pid
        self._tree = Tree(self.pid)
        self._oom_event: int | None = None
        self._sources = Sources(spec, folder.mounts, use_overlay=site.ladder.source == "overlay")
        self.status = StatusPipe(site.loop, self._slot.status_fd, self._tree.contained_by)
        self.capture = Capture(site.loop, self._slot.output_fd, spec.log_path, spec.secrets)
        self.capture.grew = lambda: site.reporter.log_grew(spec.log_id)

    def start(self, *, on_oom: Callable[[], None]) -> None:
        """Raises OSError and ValueError."""
        spec, sources = self._spec, self._sources
        if self._group:
            limits = Limits(spec.memory_mbytes * 1024 * 1024, spec.cpus, spec.pids_max)
            self._group.limit(limits)
            self._watch_memory(self._group, on_oom)
        shared_etc = self._site.etc.current()
        if spec.sandboxed:
            with self._slot.mounting():
                sources.prepare(shared_etc)
        setting = Setting(
            folder=self._folder,
            mounts=sources.mounts,
            lease=self.lease,
            ladder=self._site.ladder,
            shared_etc=shared_etc,
            system=sources.system,
            before=sources.copy_command,
        )
        self._slot.start(write_script(spec, setting))

    def kill(self) -> None:
        """Kill the whole tree. Harmless when it is dead."""
        self._slot.abandon()
        if self._group and self._site.ladder.can_kill_groups:
            self._group.kill()
        else:
            self._tree.kill()

    def terminate(self) -> None:
        """Ask the program to end: SIGTERM to its main process, as containers do."""
        if pid := self._main_process():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def is_occupied(self) -> bool:
        """Whether a process of the tree is alive."""
        if self._group and self._site.ladder.can_kill_groups:
            return self._group.is_populated()
        return self._tree.is_alive()

    def ran_out_of_memory(self) -> bool:
        return bool(self._group and self._group.oom_kills())

    def allotment(self, *, exceeded: Callable[[], None]) -> Allotment:
        return Allotment(
            folder=self._spec.disk_folder or self._folder.path,
            limit_bytes=self._spec.disk_bytes,
            given_bytes=self._sources.given_bytes,
            pids=self._pids,
            exceeded=exceeded,
        )

    def _pids(self) -> list[int]:
        if self._group and self._site.ladder.can_kill_groups:
            return self._group.pids()
        return self._tree.look()

    def usage(self) -> Usage:
        """Of the group where there is one that measures, else of the tree."""
        if self._group and not self._site.ladder.memory_is_soft:
            usage = self._group.usage()
            return (
                usage if self._group.counts_cpu else replace(usage, cpu_usec=self._tree.cpu_usec())
            )
        return self._tree.usage()

    def traffic(self) -> tuple[int, int]:
        """Bytes received and sent through the job's own network interface."""
        if not self.lease or not self.lease.netns_path:
            return 0, 0
        # The namespace goes with the job.
        with suppress(OSError), linux.network_namespace(self.lease.netns_path):
            return interface_bytes(self.lease.interface)
        return 0, 0

    def close(self) -> None:
        """Give everything back."""
        if self._oom_event is not None:
            self._site.loop.unwatch(self._oom_event)
            os.close(self._oom_event)
            self._oom_event = None
        self.status.close()
        self._site.slots.give_back(self._slot)
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

    def _main_process(self) -> int | None:
        """The program itself: below the sandbox's outer process and the first one of its process namespace."""
        if not self._spec.sandboxed or self._site.ladder.filesystem == NONE:
            return self.pid
        init = next(iter(linux.children(self.pid)), None)
        return next(iter(linux.children(init)), None) if init else None
