"""Memory of the platform's own processes: the server, the launcher, and what the launcher puts around a run."""

import time
from contextlib import suppress
from pathlib import Path

import psutil

_WAIT_SECS = 60.0


def peak_mbytes(pid: int) -> float:
    """Most memory the process has held since `reset_peak`."""
    return _status(pid, "VmHWM")


def resident_mbytes(pid: int) -> float:
    return _status(pid, "VmRSS")


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} tells no {name}")


class Platform:
    """The processes of one server, its launcher found by the launcher's command line and our server's folder."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        folder = self._server.cmdline()[self._server.cmdline().index("--data-dir") + 1]
        self._launcher = next(
            process
            for process in psutil.process_iter()
            if "callboard.executors.launcher" in (words := _words(process))
            and any(word.startswith(folder) for word in words)
        )

    def own_mbytes(self, *, program: str | None = None) -> float:
        """Resident memory of server and launcher, plus what wraps the runs, shared pages counted once.

        `program` is the name of what the runs execute; it and its parent shell are the Actor's own.
        """
        wrapped = sum(
            _proportional_mbytes(process)
            for process in self._launcher.children(recursive=True)
            if not _is_actors_own(process, program)
        )
        return wrapped + sum(resident_mbytes(one.pid) for one in (self._server, self._launcher))

    def wait_for_programs(self, program: str, count: int) -> None:
        """Until that many run. Raises TimeoutError."""
        deadline = time.monotonic() + _WAIT_SECS
        while time.monotonic() < deadline:
            children = self._launcher.children(recursive=True)
            if sum(_name(process) == program for process in children) >= count:
                return
            time.sleep(0.2)
        raise TimeoutError(f"there are no {count} processes {program}")


def _is_actors_own(process: psutil.Process, program: str | None) -> bool:
    if program is None:
        return False
    with suppress(psutil.Error):
        return process.name() == program or any(
            child.name() == program for child in process.children()
        )
    return True


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return ""


def _proportional_mbytes(process: psutil.Process) -> float:
    with suppress(psutil.Error, OSError):
        return process.memory_full_info().pss / 2**20
    return 0.0
