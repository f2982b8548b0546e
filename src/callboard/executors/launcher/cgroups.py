"""Limits, measures and kills whole process trees through control groups, of either version.

A job's group is one folder in each hierarchy that does something for us. On a machine with version 2 that is
one folder for all; with version 1 there is one for memory, one for CPU and so on, and the version 2 hierarchy,
where it is mounted beside them, still serves to kill a tree at once. All folders lie below the launcher's own.
"""

import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.launcher.hierarchies import Place, find_places, write, write_if_possible

_EMPTY_WAIT_MILLIS = 2000


@dataclass(frozen=True)
class Limits:
    memory_bytes: int
    cpus: float
    pids_max: int


@dataclass(frozen=True)
class Usage:
    memory_bytes: int
    memory_max_bytes: int
    cpu_usec: int


class Group:
    """One job's folders. A process joins by writing "0" to each file of `joins`, before it runs anything."""

    def __init__(self, places: dict[str, Place]) -> None:
        self._places = places
        self._folders = list(dict.fromkeys(place.path for place in places.values()))
        self.joins = tuple(str(folder / "cgroup.procs") for folder in self._folders)

    def create(self) -> None:
        """Make the folders. Raises OSError."""
        for folder in self._folders:
            folder.mkdir()

    def limit(self, limits: Limits) -> None:
        """Raises OSError."""
        self._limit_memory(limits.memory_bytes)
        if cpu := self._places.get("cpu"):
            _share_cpu(cpu, limits.cpus)
        if pids := self._places.get("pids"):
            write(pids.path / "pids.max", str(limits.pids_max))

    def _limit_memory(self, size: int) -> None:
        if not (memory := self._places.get("memory")):
            return
        if memory.version == 2:
            write(memory.path / "memory.max", str(size))
            write(memory.path / "memory.oom.group", "1")
            write_if_possible(memory.path / "memory.swap.max", "0")
            return
        write(memory.path / "memory.limit_in_bytes", str(size))
        write_if_possible(memory.path / "memory.memsw.limit_in_bytes", str(size))

    def open_oom_event(self) -> int | None:
        """A descriptor that becomes readable when the group runs out of memory, where version 1 has one.

        Version 2 needs none: there the kernel kills the whole group itself.
        """
        memory = self._places.get("memory")
        if memory is None or memory.version == 2:
            return None
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(memory.path / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                write(memory.path / "cgroup.event_control", f"{event} {control}")
            finally:
                os.close(control)
        except OSError:
            os.close(event)
            return None
        return event

    def oom_kills(self) -> int:
        """How many processes of the group the kernel has killed for want of memory."""
        if not (memory := self._places.get("memory")):
            return 0
        name = "memory.events" if memory.version == 2 else "memory.oom_control"
        return _fields(memory.path / name).get("oom_kill", 0)

    @property
    def counts_cpu(self) -> bool:
        return "acct" in self._places

    def usage(self) -> Usage:
        memory = self._places.get("memory")
        current = peak = 0
        if memory and memory.version == 2:
            current = _number(memory.path / "memory.current")
            peak = _number(memory.path / "memory.peak")
            current -= _fields(memory.path / "memory.stat").get("inactive_file", 0)
        elif memory:
            current = _number(memory.path / "memory.usage_in_bytes")
            peak = _number(memory.path / "memory.max_usage_in_bytes")
            current -= _fields(memory.path / "memory.stat").get("total_inactive_file", 0)
        return Usage(max(current, 0), peak, self._cpu_usec())

    def _cpu_usec(self) -> int:
        if not (acct := self._places.get("acct")):
            return 0
        if acct.version == 2:
            return _fields(acct.path / "cpu.stat").get("usage_usec", 0)
        return _number(acct.path / "cpuacct.usage") // 1000

    def kill(self) -> None:
        """Kill every process of the group, also those it forks meanwhile. Harmless when there is none."""
        if not (place := self._places.get("kill")):
            return
        if place.version == 2:
            write_if_possible(place.path / "cgroup.kill", "1")
            return
        write_if_possible(place.path / "freezer.state", "FROZEN")
        for pid in _pids(place.path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        write_if_possible(place.path / "freezer.state", "THAWED")

    def pids(self) -> list[int]:
        """The processes of the group. None where groups cannot tell."""
        place = self._places.get("kill")
        return _pids(place.path) if place else []

    def is_populated(self) -> bool:
        """Whether a process of the group is alive. False where groups cannot tell."""
        if not (place := self._places.get("kill")):
            return False
        if place.version == 2:
            return _fields(place.path / "cgroup.events").get("populated", 0) == 1
        return bool(_pids(place.path))

    def open_events(self) -> int | None:
        """A descriptor with POLLPRI when the group becomes empty, where there is such a thing."""
        place = self._places.get("kill")
        if place is None or place.version == 1:
            return None
        return os.open(place.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)

    def remove(self) -> bool:
        """Delete the folders. False when one still holds a process; call again."""
        for folder in self._folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True


class Cgroups:
    """The launcher's folders, below which each job has its own. `rungs` says what they can do."""

    def __init__(self, name: str) -> None:
        self._base = find_places(name)
        if cpu := self._base.get("cpu"):
            _share_cpu(cpu, os.cpu_count() or 1)
        self._clear_leftovers()

    def group(self, name: str) -> Group | None:
        """A group for a job, to be created; None where there are no control groups for us."""
        if not self._base:
            return None
        return Group({r: Place(p.path / name, p.version) for r, p in self._base.items()})

    def rungs(self) -> dict[str, str]:
        def rung(role: str, fallback: str) -> str:
            place = self._base.get(role)
            return f"cgroup-v{place.version}" if place else fallback

        kill = self._base.get("kill")
        killer = "cgroup.kill" if kill and kill.version == 2 else "freezer"
        return {
            "memory": rung("memory", "watchdog (soft)"),
            "cpu": rung("cpu", "none"),
            "pids": rung("pids", "none"),
            "kill": killer if kill else "process-group",
        }

    def close(self) -> None:
        """Kill what is left and remove the launcher's folders."""
        self._clear_leftovers()
        for place in self._base.values():
            with suppress(OSError):  # what is in use is left to the next start
                place.path.rmdir()

    def _clear_leftovers(self) -> None:
        """Kill and remove what a launcher that crashed left behind."""
        names = {
            entry.name for p in self._base.values() for entry in p.path.iterdir() if entry.is_dir()
        }
        for name in names:
            group = self.group(name)
            if group:
                group.kill()
                _wait_until_empty(group)
                group.remove()


def _wait_until_empty(group: Group) -> None:
    """Wait for a killed group's processes to be gone, for two seconds at most."""
    with suppress(OSError):  # the group is gone: so it is empty
        if (fd := group.open_events()) is None:
            return
        poller = select.poll()
        poller.register(fd, select.POLLPRI)
        while group.is_populated() and poller.poll(_EMPTY_WAIT_MILLIS):
            os.pread(fd, 256, 0)
        os.close(fd)


def _share_cpu(place: Place, cpus: float) -> None:
    """Weigh a group against its neighbours by the cores it may use. It bounds nothing while cores are idle."""
    if place.version == 2:
        write_if_possible(place.path / "cpu.weight", str(min(max(round(cpus * 100), 1), 10000)))
    else:
        write_if_possible(place.path / "cpu.shares", str(max(round(cpus * 1024), 2)))


def _fields(path: Path) -> dict[str, int]:
    """A file of `name number` lines; empty when it is gone."""
    try:
        pairs = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _pids(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().splitlines()]
    except OSError:
        return []
