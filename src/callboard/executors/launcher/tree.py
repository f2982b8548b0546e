"""Process trees where control groups cannot help: who belongs to one, what it uses, and killing it.

Softer than groups: a tree is what descends from its first process or shares its session, so what detaches itself
cleverly between two looks may escape. That is why the rungs that rest on it are labelled.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from callboard.executors.launcher import linux
from callboard.executors.launcher.cgroups import Usage

_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


class Tree:
    """The tree of a job by its first process. Remembers whom it has seen, as orphans change their parent."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._seen: dict[int, int] = {}
        self._peak_bytes = 0
        self._contained = False
        self._add(pid)

    def contained_by(self, init: int) -> None:
        """All of the tree is in a process namespace and dies with its first process, `init`."""
        self._contained = True
        self._add(init)

    def is_alive(self) -> bool:
        """Whether a member seen so far is alive."""
        return bool(self._living())

    def usage(self) -> Usage:
        """Proportional memory and CPU time of the whole tree, now."""
        pids = self.look()
        size = _memory_bytes(pids, _shared_folder_bytes(pids) if self._contained else 0)
        self._peak_bytes = max(self._peak_bytes, size)
        return Usage(size, self._peak_bytes, sum(_cpu_usec(pid) for pid in pids))

    def cpu_usec(self) -> int:
        return sum(_cpu_usec(pid) for pid in self.look())

    def look(self) -> list[int]:
        """The living members, those seen before and those found now."""
        found = self._descendants([self.pid, *self._living()])
        if not self._contained:
            found |= _session(self.pid)
        for pid in found:
            if pid not in self._seen:
                self._add(pid)
        return self._living()

    def kill(self) -> None:
        """Stop everyone first, so that nobody forks while the others die."""
        if self._contained:
            self._signal(self._living(), signal.SIGKILL)
            return
        self._signal(self.look(), signal.SIGSTOP)
        self._signal(self.look(), signal.SIGKILL)

    def _signal(self, pids: list[int], number: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _add(self, pid: int) -> None:
        if born := _born(pid):
            self._seen[pid] = born

    def _living(self) -> list[int]:
        return [pid for pid, born in self._seen.items() if _born(pid) == born]

    def _descendants(self, pids: list[int]) -> set[int]:
        found: set[int] = set()
        while pids:
            pid = pids.pop()
            if pid not in found:
                found.add(pid)
                pids += linux.children(pid)
        return found


def _session(leader: int) -> set[int]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {pid for pid in pids if (stat := _stat(pid)) and int(stat[3]) == leader}


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` from the state on; none for one that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    fields = text.rpartition(")")[2].split()
    return [] if fields[0] in "ZX" else fields


def _born(pid: int) -> int:
    """When a process started, in clock ticks: with the pid it names a process for ever. 0 for none."""
    stat = _stat(pid)
    return int(stat[19]) if stat else 0


def _cpu_usec(pid: int) -> int:
    stat = _stat(pid)
    return sum(int(field) for field in stat[11:15]) * 1_000_000 // _TICKS_PER_SEC


def _memory_bytes(pids: list[int], shared_folder: int) -> int:
    """What the processes use, and what is in `/dev/shm` without being in use by any."""
    figures = [_rollup(pid) for pid in pids]
    mapped = sum(figure.get("Pss_Shmem", 0) for figure in figures)
    return sum(figure.get("Pss", 0) for figure in figures) + max(shared_folder - mapped, 0)


def _rollup(pid: int) -> dict[str, int]:
    """Bytes of memory by kind; none for a process that is gone or not ours to look into."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (s.partition(":") for s in lines)
    }


def _shared_folder_bytes(pids: list[int]) -> int:
    """Of a sandbox's own `/dev/shm`, which all its processes see."""
    for pid in pids:
        with suppress(OSError):  # the process may be over: another sees the same folder
            folder = f"/proc/{pid}/root/dev/shm"
            if os.stat(folder).st_dev != os.stat("/dev/shm").st_dev:
                figures = os.statvfs(folder)
                return (figures.f_blocks - figures.f_bfree) * figures.f_frsize
    return 0
