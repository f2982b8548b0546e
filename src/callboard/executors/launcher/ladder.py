"""Finds out, once at start and by running the thing, how well jobs can be kept apart on this machine."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.launcher.cgroups import Cgroups
from callboard.executors.launcher.protocol import Options
from callboard.executors.launcher.runners import BUBBLEWRAP, NAMESPACES, NONE
from callboard.executors.launcher.sandbox import (
    JOB_UID,
    Sandbox,
    can_limit_pids,
    own,
    sandbox_command,
    write_etc,
)
from callboard.executors.launcher.seccomp import seccomp_filter

_PROBE_SECS = 5
RLIMIT = "rlimit"


@dataclass(frozen=True)
class Ladder:
    """The rungs in force. `why` says what stands in the way of a better sandbox, when something does."""

    filesystem: str
    user: str
    source: str
    memory: str
    cpu: str
    pids: str
    kill: str
    syscalls: str
    disk: str
    call_filter: Path | None
    """The file with the filter of system calls, where there is one."""
    allow_unsandboxed: bool
    why: str = ""

    @property
    def memory_is_soft(self) -> bool:
        return not self.memory.startswith("cgroup")

    @property
    def can_kill_groups(self) -> bool:
        return self.kill != "process-group"

    def rungs(self) -> dict[str, str]:
        names = (
            "filesystem",
            "user",
            "source",
            "memory",
            "cpu",
            "pids",
            "kill",
            "disk",
            "syscalls",
        )
        return {name: getattr(self, name) for name in names}


def probe(scratch: Path, cgroups: Cgroups, *, overlay: bool, options: Options) -> Ladder:
    """Takes some 20 ms. `overlay`: the launcher has a mount namespace of its own, and can mount them in it."""
    filesystem, why = best_sandbox(scratch, options.sandbox)
    bare = filesystem == NONE
    rungs = cgroups.rungs()
    if rungs["pids"] == "none" and not bare and can_limit_pids():
        rungs["pids"] = RLIMIT
    call_filter = None if bare else _written_filter(scratch)
    return Ladder(
        filesystem=filesystem,
        user="own" if bare or os.geteuid() else f"uid-{JOB_UID}",
        source="overlay" if overlay else "copy",
        syscalls="filtered" if call_filter else "all",
        disk="none" if bare else "measured",
        call_filter=call_filter,
        allow_unsandboxed=options.allow_unsandboxed,
        why=why,
        **rungs,
    )


def best_sandbox(scratch: Path, wanted: str, prefix: tuple[str, ...] = ()) -> tuple[str, str]:
    """The best rung that works behind the `argv_prefix` of a network, and why no better one.

    `wanted` is the only rung that is tried; empty, all are. NONE when none works.
    """
    failures: list[str] = []
    for rung in (wanted,) if wanted else (BUBBLEWRAP, NAMESPACES):
        failure = _failure(scratch, rung, prefix)
        if not failure:
            return rung, "; ".join(failures)
        failures.append(f"{rung} not used: {failure}")
    return NONE, "; ".join(failures)


def _written_filter(scratch: Path) -> Path | None:
    """Where jobs find it, as none of them has its own."""
    if not (words := seccomp_filter()):
        return None
    path = scratch / "seccomp"
    path.write_bytes(words)
    return path


def _failure(scratch: Path, rung: str, prefix: tuple[str, ...]) -> str:
    """Run `true` in a sandbox like a job's. Empty when that works, else what was said."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        try:
            return _run_true(Path(name), rung, prefix)
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)


def _run_true(folder: Path, rung: str, prefix: tuple[str, ...]) -> str:
    for part in ("home", "tmp", "etc"):
        (folder / part).mkdir()
    own(folder / "home")
    write_etc(folder / "etc", hostname="probe", hosts={})
    box = Sandbox(
        argv=("/bin/true",),
        env={},
        cwd="/tmp",
        hostname="probe",
        home=folder / "home",
        tmp=folder / "tmp",
        etc=folder / "etc",
        rung=rung,
    )
    with sandbox_command(box).opened() as (argv, descriptors):
        result = subprocess.run(
            (*prefix, *argv),
            env={},
            pass_fds=descriptors,
            capture_output=True,
            timeout=_PROBE_SECS,
            check=False,
        )
    said = result.stderr.decode(errors="replace").strip()
    return "" if result.returncode == 0 else said or f"it ended with {result.returncode}"
