"""The few lines of shell that turn a slot's waiting shell into a job's program.

In a sandbox, bare for the build driver, or unprotected where that is allowed. Options of the sandbox, and with
them the job's environment, are in a file beside the script: command lines are public.
"""

import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from callboard.executors.base import LaunchSpec, Mount
from callboard.executors.launcher.disk import file_limit_blocks
from callboard.executors.launcher.ladder import RLIMIT, Ladder
from callboard.executors.launcher.network import Lease
from callboard.executors.launcher.records import JobFolder, write_private
from callboard.executors.launcher.runners import NONE
from callboard.executors.launcher.sandbox import (
    Sandbox,
    SystemFolders,
    own,
    sandbox_command,
    write_etc,
    write_hosts,
)
from callboard.executors.launcher.spawn import FILTER_FD, OPTIONS_FD, STATUS_FD
from callboard.executors.launcher.surroundings import Surroundings

_HOSTNAME_MAX = 63
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Setting:
    """Where a job's program is to run. `mounts` are those of the spec with overlays and copies put in place."""

    folder: JobFolder
    mounts: tuple[Mount, ...]
    lease: Lease | None
    ladder: Ladder
    shared_etc: Path | None
    system: SystemFolders | None = None
    before: str = ""
    """A command that has to succeed first."""


def reports_start(spec: LaunchSpec, ladder: Ladder) -> bool:
    """Whether the status descriptor will tell that the program was started."""
    return spec.sandboxed and ladder.filesystem != NONE


def write_script(spec: LaunchSpec, setting: Setting) -> Path:
    """Returns where it is. Raises OSError and ValueError; PermissionError if it must not run unprotected."""
    if not spec.sandboxed:
        lines = _bare(spec, setting)
    elif setting.ladder.filesystem == NONE:
        lines = _unprotected(spec, setting)
    else:
        lines = _sandboxed(spec, setting)
    before = [f"{setting.before} || exit 126"] if setting.before else []
    script = setting.folder.path / "start.sh"
    write_private(script, "\n".join(["exec </dev/null", *before, *lines, ""]).encode())
    return script


def _sandboxed(spec: LaunchSpec, setting: Setting) -> list[str]:
    surroundings = _surroundings(spec, setting)
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
        shared_etc=setting.shared_etc,
        system=setting.system,
        pids_max=spec.pids_max if setting.ladder.pids == RLIMIT else None,
        rung=setting.ladder.filesystem,
    )
    for folder in (setting.folder.home, setting.folder.tmp):
        own(folder)
    command = sandbox_command(box, status_fd=STATUS_FD)
    options = setting.folder.path / "options"
    write_private(options, command.options_bytes)
    call_filter = setting.ladder.call_filter
    words = (*_prefix(setting), *command.argv(OPTIONS_FD, FILTER_FD if call_filter else None))
    opened = {OPTIONS_FD: options, **({FILTER_FD: call_filter} if call_filter else {})}
    redirections = " ".join(f"{fd}<{shlex.quote(str(path))}" for fd, path in opened.items())
    return [_file_limit(spec), "cd /", f"exec {_quoted(words)} {redirections}"]


def _bare(spec: LaunchSpec, setting: Setting) -> list[str]:
    env = {**spec.env, **_surroundings(spec, setting).environment()}
    limit = [_file_limit(spec)] if spec.is_disk_limited else []
    return [*limit, *_plain(env, spec.cwd, (*_prefix(setting), *_dying_with_us(spec.argv)))]


def _file_limit(spec: LaunchSpec) -> str:
    return f"ulimit -f {file_limit_blocks(spec.disk_bytes)}"


def _unprotected(spec: LaunchSpec, setting: Setting) -> list[str]:
    """Without mounts, what the spec names by a mount's target is named by its source instead."""
    if not setting.ladder.allow_unsandboxed:
        raise PermissionError(
            "running Actors without a sandbox is not allowed, and this machine has none to offer: "
            + setting.ladder.why
        )
    if setting.system:
        raise PermissionError("the Actor brings system packages, which it cannot see unsandboxed")
    targets = sorted(((m.target, str(m.source)) for m in setting.mounts), reverse=True)

    def on_host(text: str) -> str:
        for target, source in targets:
            text = text.replace(target, source)
        return text

    env = {name: on_host(value) for name, value in spec.env.items()}
    argv = tuple(on_host(word) for word in spec.argv)
    return _plain(env, on_host(spec.cwd), (*_prefix(setting), *_dying_with_us(argv)))


def _plain(env: Mapping[str, str], cwd: str, argv: Iterable[str]) -> list[str]:
    """Raises ValueError for a variable that a shell cannot set."""
    if wrong := [name for name in env if not _NAME.fullmatch(name)]:
        raise ValueError(f"not a name for an environment variable: {wrong[0]!r}")
    exports = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    directory = f"cd {shlex.quote(cwd)} || exit 126"
    return [
        f"exec {STATUS_FD}>&-",
        directory,
        "unset PWD OLDPWD",
        *exports,
        f"exec {_quoted(argv)}",
    ]


def _surroundings(spec: LaunchSpec, setting: Setting) -> Surroundings:
    """Write the parts of `/etc` that are the job's."""
    folder, lease = setting.folder, setting.lease
    hostname = spec.job_id.replace("_", "-").replace(".", "-")[:_HOSTNAME_MAX]
    write = write_hosts if spec.sandboxed and setting.shared_etc else write_etc
    write(folder.etc, hostname=hostname, hosts=lease.hosts if lease else {})
    resolv_conf = Path(lease.resolv_conf) if lease and lease.resolv_conf else None
    return Surroundings(folder.etc, resolv_conf, hostname, setting.ladder.filesystem)


def _prefix(setting: Setting) -> tuple[str, ...]:
    return setting.lease.argv_prefix if setting.lease else ()


def _dying_with_us(argv: tuple[str, ...]) -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--", *argv) if setpriv else argv


def _quoted(words: Iterable[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)
