"""The sandbox of a program: what it sees of the machine, as which user it runs, as options of bubblewrap.

Used by the launcher for Actors and by the build driver for build steps; needs nothing but the standard library.

Inside, `/` is an empty read-only file system holding `/usr` and a small part of `/etc` of the host, both read-only,
private `/tmp` and `/home/actor`, fresh `/proc` and `/dev`, and the mounts asked for. The program has its own
process, IPC, host name and control group namespaces, no capability, and can gain none; `seccomp` says what it may not
ask of the kernel. Started by root it runs as
`JOB_UID`, an unprivileged user that owns nothing on the host; else as the user that started it, in a user
namespace. The network namespace is inherited from the caller.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from callboard.executors.base import Mount, MountMode
from callboard.executors.launcher.runners import BUBBLEWRAP, SandboxCommand, tool

JOB_UID = 64484
"""User and group of sandboxed programs when the launcher runs as root."""
HOME = "/home/actor"
SETPRIV, ENV, PRLIMIT = "setpriv", "env", "prlimit"

_HOST = "/run/host"
"""Where the host's `/usr` is when something else stands in for it."""
_HOST_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
HOST_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "gai.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki",
    "protocols",
    "services",
    "ssl",
    "timezone",
)
_SYNTHESISED = ("passwd", "group", "hosts")
_KEPT_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_LOADER_PREFIXES = ("LD_", "MALLOC_", "GLIBC_", "GCONV_", "NIS_", "RES_", "RESOLV_")
_LOADER_NAMES = frozenset(
    ("GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NLSPATH", "LANGUAGE", "TZDIR", "TZ")
)


@dataclass(frozen=True)
class SystemFolders:
    """Folders to show in place of the host's own. With `var`, the program may change all of them.

    What is in them may be hostile: nothing in them is run that still has rights. See `trusted`.
    """

    usr: Path
    etc: Path
    """With files for `hosts` and `resolv.conf` to be mounted on."""
    var: Path | None = None


@dataclass(frozen=True)
class Sandbox:
    """One program and what it sees. Paths are the host's, except `argv`, `cwd` and the targets of mounts."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    """All of the program's environment; nothing is inherited."""
    cwd: str
    hostname: str
    home: Path
    """Becomes `HOME`; see `own`."""
    tmp: Path
    etc: Path
    """A folder filled by `write_etc`."""
    mounts: tuple[Mount, ...] = ()
    """Those of mode OVERLAY are mounted writable: pass the folder that is to be written to."""
    resolv_conf: Path | None = None
    """None takes the host's."""
    shared_etc: Path | None = None
    """A prepared `/etc` without `hosts` and `resolv.conf`; None shows the host's files one by one."""
    pids_max: int | None = None
    """Most processes at once, where `can_limit_pids`; control groups do this better."""
    system: SystemFolders | None = None
    """None shows the host's, with the `shared_etc`."""
    rung: str = BUBBLEWRAP
    """What runs it; of `runners`."""


def sandbox_command(box: Sandbox, *, status_fd: int | None = None) -> SandboxCommand:
    """The command that runs `box`. Raises FileNotFoundError when a tool is missing.

    Mounts below `/usr` work also where the host has no such folder. At `status_fd` the runner writes JSON, with
    an `exit-code` only when the program was started.
    """
    privileged = os.geteuid() == 0
    early, late = _split_environment(box.env, privileged=privileged)
    options = (
        *(() if status_fd is None else ("--json-status-fd", str(status_fd))),
        *_namespaces(box.hostname, privileged=privileged),
        *_host_view(box),
        *_private_view(box),
        *_mounts(box.mounts),
        *("--remount-ro", "/", "--chdir", box.cwd, "--clearenv"),
        *(word for name, value in early.items() for word in ("--setenv", name, value)),
    )
    argv = _limited(box) if can_limit_pids() else box.argv
    program = _program(argv, late, privileged=privileged, from_host=box.system is not None)
    return SandboxCommand(box.rung, options, program)


def trusted(program: str, *libraries: str) -> tuple[str, ...]:
    """How a program of the host's `/usr` is started where `Sandbox.system` stands in for it.

    With the loader and libraries of the host, and those in the folders `libraries`, whatever else is there. Raises
    FileNotFoundError.
    """
    loader = _mapped_file("ld-linux")
    folder = os.path.dirname(_mapped_file("libc.so"))
    path = ":".join([_HOST + folder, *libraries])
    return (_HOST + loader, "--inhibit-cache", "--library-path", path, program)


@cache
def _mapped_file(name: str) -> str:
    """A file that this process itself has been started with, below `/usr`."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")[2]
        if path.startswith("usr/") and os.path.basename(path).startswith(name):
            return f"/{path}"
    raise FileNotFoundError(f"no {name} of the system below /usr")


def can_limit_pids() -> bool:
    """Whether the sandbox itself can: in a user namespace the kernel counts processes by sandbox."""
    with suppress(FileNotFoundError):
        return os.geteuid() != 0 and bool(tool(PRLIMIT))
    return False


def own(folder: Path) -> None:
    """Make a folder the sandboxed program's own."""
    if os.geteuid() == 0:
        os.chown(folder, JOB_UID, JOB_UID)


def write_etc(folder: Path, *, hostname: str, hosts: Mapping[str, str]) -> None:
    """Write the parts of `/etc` that are not the host's. `hosts` maps more names to addresses."""
    write_hosts(folder, hostname=hostname, hosts=hosts)
    uid, gid = (JOB_UID, JOB_UID) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"
    passwd = ["root:x:0:0:root:/root:/bin/sh", f"actor:x:{uid}:{gid}::{HOME}:/bin/sh", nobody]
    (folder / "passwd").write_text("\n".join(passwd) + "\n")
    (folder / "group").write_text(f"root:x:0:\nactor:x:{gid}:\nnogroup:x:65534:\n")


def write_hosts(folder: Path, *, hostname: str, hosts: Mapping[str, str]) -> None:
    """Of the parts that `write_etc` writes the one that a `Sandbox.shared_etc` has not."""
    lines = ["127.0.0.1 localhost", "::1 localhost", f"127.0.1.1 {hostname}"]
    lines += [f"{address} {name}" for name, address in hosts.items()]
    (folder / "hosts").write_text("\n".join(lines) + "\n")


def _namespaces(hostname: str, *, privileged: bool) -> list[str]:
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--die-with-parent", "--new-session", "--hostname", hostname, "--cap-drop", "ALL"]
    if not privileged:
        return [*options, "--unshare-user"]
    return options + [word for name in _KEPT_CAPABILITIES for word in ("--cap-add", name)]


def _host_view(box: Sandbox) -> list[str]:
    system = box.system
    how = "--bind" if system and system.var else "--ro-bind"
    options = [how, str(system.usr if system else "/usr"), "/usr", "--dir", "/etc"]
    for link in _HOST_LINKS:
        options += _shown(Path(link), link)
    resolv_conf = str(box.resolv_conf or "/etc/resolv.conf")
    last = ["--ro-bind-try", resolv_conf, "/etc/resolv.conf"]
    if system:
        hosts = ["--ro-bind", str(box.etc / "hosts"), "/etc/hosts"]
        return [*options, how, str(system.etc), "/etc", *hosts, *last]
    if box.shared_etc:
        options += ["--ro-bind", str(box.shared_etc), "/etc"]
        return [*options, "--ro-bind", str(box.etc / "hosts"), "/etc/hosts", *last]
    for name in HOST_ETC:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in _SYNTHESISED:
        options += ["--ro-bind", str(box.etc / name), f"/etc/{name}"]
    return [*options, *last]


def _private_view(box: Sandbox) -> list[str]:
    options = [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--perms",
        "1777",
        "--tmpfs",
        "/dev/shm",
        "--remount-ro",
        "/dev",
        *_run_and_var(box),
        "--dir",
        "/home",
    ]
    options += ["--bind", str(box.tmp), "/tmp"]
    return [*options, "--bind", str(box.home), HOME]


def _run_and_var(box: Sandbox) -> list[str]:
    var = box.system.var if box.system else None
    run = ["--perms", "1777", "--tmpfs", "/run"] if var else ["--dir", "/run"]
    if box.system:
        run += ["--dir", _HOST, "--ro-bind", "/usr", f"{_HOST}/usr"]
    if var:
        return [*run, "--bind", str(var), "/var"]
    return [*run, "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]


def _mounts(mounts: tuple[Mount, ...]) -> list[str]:
    options: list[str] = []
    opened: set[Path] = set()
    for mount in mounts:
        target = Path(os.path.normpath(mount.target))
        options += _opened_up(target, opened)
        for parent in list(target.parents)[-2::-1]:
            options += ["--dir", str(parent)]  # bubblewrap by itself makes them for root only
        how = "--ro-bind" if mount.mode is MountMode.READ_ONLY else "--bind"
        options += [how, str(mount.source), str(target)]
    return options


def _opened_up(target: Path, opened: set[Path]) -> list[str]:
    """Room for a mount point in the read-only `/usr`.

    The nearest folder that the host has is replaced by an empty one that shows the same entries.
    """
    if not target.is_relative_to("/usr") or target.is_dir() or opened & set(target.parents):
        return []
    nearest = next(parent for parent in target.parents if parent.is_dir())
    opened.add(nearest)
    entries = sorted(nearest.iterdir())
    shown = [word for entry in entries for word in _shown(entry, str(entry))]
    return ["--tmpfs", str(nearest), *shown]


def _shown(entry: Path, target: str) -> list[str]:
    """Options that show a host entry: links as links, so that they lead where they do on the host."""
    if entry.is_symlink():
        return ["--symlink", os.readlink(entry), target]
    return ["--ro-bind", str(entry), target] if entry.exists() else []


def _split_environment(
    env: Mapping[str, str], *, privileged: bool
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Keep back what steers the loader and the C library: `setpriv` still has rights when it starts."""
    late = {
        name: value
        for name, value in env.items()
        if privileged and (name in _LOADER_NAMES or name.startswith(_LOADER_PREFIXES))
    }
    return {name: value for name, value in env.items() if name not in late}, late


def _limited(box: Sandbox) -> tuple[str, ...]:
    if box.pids_max is None:
        return box.argv
    return (tool(PRLIMIT), f"--nproc={box.pids_max}:{box.pids_max}", "--", *box.argv)


def _program(
    argv: tuple[str, ...], late: Mapping[str, str], *, privileged: bool, from_host: bool
) -> tuple[str, ...]:
    if not privileged:
        return argv
    user = ("--reuid", str(JOB_UID), "--regid", str(JOB_UID), "--clear-groups")
    rights = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    changed = (tool(ENV), *(f"{name}={value}" for name, value in late.items())) if late else ()
    setpriv = trusted(_HOST + tool(SETPRIV)) if from_host else (tool(SETPRIV),)
    return (*setpriv, *user, *rights, "--", *changed, *argv)
