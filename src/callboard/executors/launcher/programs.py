"""What exactly is started for a job: in a sandbox, bare for the build driver, or unprotected if allowed."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.base import LaunchSpec, Mount
from callboard.executors.launcher.ladder import Ladder
from callboard.executors.launcher.network import Lease
from callboard.executors.launcher.records import JobFolder
from callboard.executors.launcher.sandbox import Sandbox, own, sandbox_command, write_etc
from callboard.executors.launcher.surroundings import Surroundings

_HOSTNAME_MAX = 63


@dataclass
class Program:
    """A command line with what it needs."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"
    options_fd: int | None = None
    """To be passed to the program, then closed by us. Such a program also reports to the status descriptor."""


@dataclass(frozen=True)
class Setting:
    """Where a job's program is to run. `mounts` are those of the spec with overlays and copies put in place."""

    folder: JobFolder
    mounts: tuple[Mount, ...]
    lease: Lease | None
    ladder: Ladder


def program_of(spec: LaunchSpec, setting: Setting, *, status_fd: int) -> Program:
    """Raises PermissionError when it would have to run unprotected and that is not allowed."""
    prefix = setting.lease.argv_prefix if setting.lease else ()
    program = _program(spec, setting, status_fd=status_fd)
    program.argv = (*prefix, *program.argv)
    return program


def _program(spec: LaunchSpec, setting: Setting, *, status_fd: int) -> Program:
    surroundings = _surroundings(spec, setting)
    if not spec.sandboxed:
        return _bare(spec, surroundings)
    if setting.ladder.filesystem == "none":
        return _unprotected(spec, setting)
    box = Sandbox(
        argv=spec.argv,
        env=spec.env,
        cwd=spec.cwd,
        hostname=surroundings.hostname,
        home=setting.folder.home,
        tmp=setting.folder.tmp,
        etc=surroundings.etc,
        mounts=setting.mounts,
        resolv_conf=surroundings.resolv_conf,
    )
    command = sandbox_command(box, status_fd=status_fd)
    options = command.open_options()
    return Program(command.argv(options), {}, options_fd=options)


def _surroundings(spec: LaunchSpec, setting: Setting) -> Surroundings:
    """Write the parts of `/etc` that are the job's, and make its folders its own."""
    folder, lease = setting.folder, setting.lease
    hostname = spec.job_id.replace("_", "-").replace(".", "-")[:_HOSTNAME_MAX]
    write_etc(folder.etc, hostname=hostname, hosts=lease.hosts if lease else {})
    if spec.sandboxed:
        own(folder.home)
        own(folder.tmp)
    resolv_conf = Path(lease.resolv_conf) if lease and lease.resolv_conf else None
    return Surroundings(folder.etc, resolv_conf, hostname, setting.ladder.filesystem)


def _bare(spec: LaunchSpec, surroundings: Surroundings) -> Program:
    env = {**spec.env, **surroundings.environment()}
    return Program(_dying_with_us(spec.argv), env, cwd=spec.cwd)


def _unprotected(spec: LaunchSpec, setting: Setting) -> Program:
    """Without mounts, what the spec names by a mount's target is named by its source instead."""
    if not setting.ladder.allow_unsandboxed:
        raise PermissionError(
            "this machine has no sandbox to offer (no bubblewrap), and running Actors without one is not allowed"
        )
    targets = sorted(((m.target, str(m.source)) for m in setting.mounts), reverse=True)

    def on_host(text: str) -> str:
        for target, source in targets:
            text = text.replace(target, source)
        return text

    env = {name: on_host(value) for name, value in spec.env.items()}
    argv = tuple(on_host(word) for word in spec.argv)
    return Program(_dying_with_us(argv), env, cwd=on_host(spec.cwd))


def _dying_with_us(argv: tuple[str, ...]) -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--", *argv) if setpriv else argv
