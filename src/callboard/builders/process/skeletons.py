"""The folders of the host's system as the root of a stage owns them, without the files in `/usr`.

They lie between a stage and the host: in an overlay a folder belongs to whom its uppermost layer says, so that a root
which is nobody on the host may add files beside the host's. The state of the package manager, which it writes in
place, and the public part of `/etc` are copied. Made once for all builds, and again when the host's packages change.
"""

import fcntl
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from callboard.builders.process.toolbox import BEFORE_DPKG
from callboard.builders.process.tools.as_root import FIRST_UID
from callboard.executors.launcher.hostetc import copy_public
from callboard.executors.launcher.sandbox import HOST_ETC

LEFT_TO_THE_STAGE = frozenset({"local", "src"})
"""Of `/usr`: folders that steps change without being root."""
FORMAT = "1"
"""Change it when what is made changes."""
_ETC = (
    *HOST_ETC,
    *("adduser.conf", "apt", "bash.bashrc", "debconf.conf", "default", "deluser.conf", "dpkg"),
    *("emacs", "environment", "init.d", "locale.alias", "locale.gen", "login.defs", "magic"),
    *("magic.mime", "mailcap", "pam.conf", "pam.d", "perl", "profile", "profile.d", "python3"),
    *("security", "selinux", "shells", "skel", "systemd", "terminfo", "ucf.conf", "xdg", "X11"),
)
_SECRETS = ("private", "auth.conf", "auth.conf.d", "opasswd")
_SYSTEM_UIDS = 1000
_VAR_STATE = ("lib/dpkg", "lib/pam", "lib/ucf", "lib/systemd")
_VAR_FOLDERS = (
    *("cache/apt/archives/partial", "cache/debconf", "lib/apt/lists/partial", "lib/misc"),
    *("log/apt", "backups", "mail", "spool", "lib/dpkg"),
)
_SETTINGS = {
    "etc/apt/apt.conf.d/00-stage": 'APT::Sandbox::User "root";\nDpkg::Use-Pty "0";\n'
    'Acquire::Languages "none";\nAPT::Install-Suggests "0";\nAPT::Get::Upgrade "false";\n'
    f'DPkg::Pre-Install-Pkgs {{ "{BEFORE_DPKG}"; }};\n',
    "etc/dpkg/dpkg.cfg.d/00-stage": "force-unsafe-io\npath-exclude=/usr/share/doc/*/*\n"
    "path-exclude=/usr/share/man/*\n",
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
"""apt runs as the stage's root, and nothing is started as a service."""


class Skeletons:
    """Those below one folder, shared by all builds. `etc` is the sandbox's own part of `/etc`."""

    def __init__(self, folder: Path, etc: Path) -> None:
        self._folder = folder
        self._etc = etc
        self._lock = -1
        self._state = ""

    def part(self, name: str) -> Path:
        """That of `usr`, `etc` or `var` for the host as it is. Stays as long as this process."""
        if self._lock < 0:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            self._state = _host_state(self._etc)
            self._prune()
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        place = self._folder / f"{self._state}-{name}"
        if not place.is_dir():
            partial = self._folder / f"{uuid4().hex}.partial"
            self._make(name, partial)
            try:
                partial.rename(place)
            except OSError:  # another build was first
                if not place.is_dir():
                    raise
        return place

    def _prune(self) -> None:
        """Drop those of the host as it was, unless a build may be using them."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for entry in os.scandir(self._folder):
            if entry.name != "lock" and not entry.name.startswith(f"{self._state}-"):
                shutil.rmtree(entry.path, ignore_errors=True)

    def _make(self, name: str, place: Path) -> None:
        match name:
            case "usr":
                _copy_folders("/usr", place)
            case "etc":
                self._copy_etc(place)
            case _:
                _copy_var(place)
        for path, text in _SETTINGS.items():
            part, _, inside = path.partition("/")
            if part == name:
                (place / inside).parent.mkdir(parents=True, exist_ok=True)
                (place / inside).write_text(text)
                (place / inside).chmod(0o755)
        _give_to_root(place)

    def _copy_etc(self, target: Path) -> None:
        target.mkdir()
        for name in _ETC:
            with suppress(OSError, shutil.Error):  # not every system has each of them
                copy_public(Path("/etc") / name, target / name, left_out=_SECRETS)
        for name in ("passwd", "group"):
            text = _with_system_users((self._etc / name).read_text(), Path("/etc") / name)
            (target / name).write_text(text)
        for name in ("hosts", "resolv.conf"):
            (target / name).touch()
        for name in ("shadow", "gshadow"):
            (target / name).touch(mode=0o600)


def _host_state(etc: Path) -> str:
    """A name for all that decides what a skeleton is like."""
    watched = ["/var/lib/dpkg/status", *(f"/etc/{name}" for name in (*_ETC, "passwd", "ssl/certs"))]
    digest = hashlib.sha256(f"{FORMAT} {FIRST_UID}".encode())
    for path in watched:
        with suppress(OSError):  # what is not there is no part of the name
            digest.update(f"{path} {os.lstat(path).st_mtime_ns}\n".encode())
    for name in ("passwd", "group"):
        digest.update((etc / name).read_bytes())
    return digest.hexdigest()[:24]


def _with_system_users(own: str, host: Path) -> str:
    """With the host's users or groups for parts of the system, whom packages refer to. `own` wins."""
    lines = own.splitlines()
    known = {line.partition(":")[0] for line in lines}
    for line in host.read_text(errors="replace").splitlines():
        fields = line.split(":")
        is_system = len(fields) > 3 and fields[2].isdecimal() and int(fields[2]) < _SYSTEM_UIDS
        if is_system and fields[0] not in known:
            lines.append(":".join([*fields[:3], ""]) if len(fields) == 4 else line)
    return "\n".join(lines) + "\n"


def _copy_folders(source: str, target: Path) -> None:
    """The folders below `source`, without their files."""
    target.mkdir()
    for entry in os.scandir(source):
        at_top = source == "/usr" and entry.name in LEFT_TO_THE_STAGE
        if entry.is_dir(follow_symlinks=False) and not at_top:
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode) & 0o755
            with suppress(PermissionError):
                _copy_folders(entry.path, target / entry.name)
                (target / entry.name).chmod(mode)


def _copy_var(target: Path) -> None:
    target.mkdir()
    for name in _VAR_STATE:
        source = Path("/var") / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True, dirs_exist_ok=True)
    for name in _VAR_FOLDERS:
        (target / name).mkdir(parents=True, exist_ok=True)
    (target / "tmp").symlink_to("/tmp")
    (target / "run").symlink_to("/run")


def _give_to_root(folder: Path) -> None:
    os.chown(folder, FIRST_UID, FIRST_UID)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(place, name), FIRST_UID, FIRST_UID, follow_symlinks=False)
