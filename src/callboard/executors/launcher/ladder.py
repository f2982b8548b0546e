"""Finds out, once at start and by running the thing, how well jobs can be kept apart on this machine."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.launcher.cgroups import Cgroups
from callboard.executors.launcher.sandbox import (
    JOB_UID,
    Sandbox,
    can_limit_pids,
    own,
    sandbox_command,
    write_etc,
)
from callboard.executors.launcher.sources import can_overlay

_PROBE_SECS = 5
RLIMIT = "rlimit"


@dataclass(frozen=True)
class Ladder:
    """The rungs in force. `why` says what stands in the way of the sandbox, when something does."""

    filesystem: str
    user: str
    source: str
    memory: str
    cpu: str
    pids: str
    kill: str
    allow_unsandboxed: bool
    why: str = ""

    @property
    def memory_is_soft(self) -> bool:
        return not self.memory.startswith("cgroup")

    @property
    def can_kill_groups(self) -> bool:
        return self.kill != "process-group"

    def rungs(self) -> dict[str, str]:
        names = ("filesystem", "user", "source", "memory", "cpu", "pids", "kill")
        return {name: getattr(self, name) for name in names}


def probe(scratch: Path, cgroups: Cgroups, *, overlay: bool, allow_unsandboxed: bool) -> Ladder:
    """Takes some 20 ms. `overlay`: the launcher has a mount namespace of its own to mount in."""
    why = sandbox_failure(scratch)
    rungs = cgroups.rungs()
    if rungs["pids"] == "none" and not why and can_limit_pids():
        rungs["pids"] = RLIMIT
    return Ladder(
        filesystem="none" if why else "bubblewrap",
        user="own" if why or os.geteuid() else f"uid-{JOB_UID}",
        source="overlay" if overlay and can_overlay(scratch) else "copy",
        allow_unsandboxed=allow_unsandboxed,
        why=why,
        **rungs,
    )


def sandbox_failure(scratch: Path, prefix: tuple[str, ...] = ()) -> str:
    """Run `true` in a sandbox like a job's, behind the `argv_prefix` of a network.

    Empty when that works, else what was said.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        try:
            return _run_true(folder, prefix)
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)


def _run_true(folder: Path, prefix: tuple[str, ...]) -> str:
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
    )
    command = sandbox_command(box)
    options = command.open_options()
    try:
        result = subprocess.run(
            (*prefix, *command.argv(options)),
            env={},
            pass_fds=[options],
            capture_output=True,
            timeout=_PROBE_SECS,
            check=False,
        )
    finally:
        os.close(options)
    return "" if result.returncode == 0 else result.stderr.decode(errors="replace").strip()
