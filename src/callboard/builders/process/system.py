"""The system of a stage: the host's, seen read-only, with what the stage's root has changed laid over it.

Package managers write into `/usr`, `/etc` and `/var` as root. A step that uses one runs as root of its stage alone:
a user of the host that owns nothing, in overlays of these folders whose changes go to the stage's tree.
"""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from callboard.builders.process import overlays, tree
from callboard.builders.process.downloads import command_line, simple_commands
from callboard.builders.process.skeletons import LEFT_TO_THE_STAGE, Skeletons
from callboard.builders.process.tools.as_root import COUNT, FIRST_UID
from callboard.executors.launcher.sandbox import SystemFolders

CHANGED = ("usr", "etc", "var")
_FORGOTTEN = ("backups", "cache/apt", "cache/debconf", "lib/apt", "lib/dpkg", "lib/ucf", "log")
"""Of `/var`: what package managers need between steps and Actors do not."""
_MANAGER = re.compile(
    r"(?<![\w./-])(?:apt|apt-get|aptitude|dpkg|add-apt-repository|locale-gen|update-locale|ldconfig"
    r"|update-alternatives|update-ca-certificates|fc-cache|dpkg-reconfigure)(?![\w.=/-])"
)
_HARMLESS = frozenset({"update", "install", "clean", "autoclean", "autoremove", "upgrade"})
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_PIPED_IN = re.compile(r"\|\s*(?:sudo\s+(?:-E\s+)?)?(?:ba)?sh\b")
_PLACE = re.compile(
    r"(?<![\w./-])/(?:etc|(?:usr/)?(?:bin|sbin|lib|lib64)|usr/(?:share|include))/(?!(?:ba|da)?sh\b|env\b)"
)
_WRITING = re.compile(
    r">|\b(?:ln|cp|mv|rm|install|tee|sed|mkdir|chmod|touch|tar|unzip)\s|\s-(?:o|O|C)\b"
)


def concerns(argv: Sequence[str]) -> bool:
    """Whether a command changes the system: installs packages, or writes to the system's folders.

    Installing what the host has changes nothing.
    """
    return _writes_to_system(argv) or (may_concern(argv) and not _installs_only_what_is_here(argv))


def may_concern(argv: Sequence[str]) -> bool:
    """Whether `concerns` may depend on what the host has."""
    return _MANAGER.search(_text(argv)) is not None or _writes_to_system(argv)


def _writes_to_system(argv: Sequence[str]) -> bool:
    text = _text(argv)
    return bool(_PIPED_IN.search(text) or (_PLACE.search(text) and _WRITING.search(text)))


def _text(argv: Sequence[str]) -> str:
    line = command_line(argv)
    return " ".join(argv) if line is None else line


def _installs_only_what_is_here(argv: Sequence[str]) -> bool:
    wanted: list[str] = []
    told_apart = False
    for words in simple_commands(argv):
        used = [word for word in words if _MANAGER.fullmatch(word.rpartition("/")[2])]
        if not used:
            continue
        told_apart = True
        rest = [word for word in words[words.index(used[0]) + 1 :] if not word.startswith("-")]
        if used[0] not in {"apt", "apt-get"} or not rest or rest[0] not in _HARMLESS:
            return False
        wanted += rest[1:]
    are_names = all(_PACKAGE.fullmatch(name) for name in wanted)
    return told_apart and are_names and _are_installed(wanted)


def _are_installed(packages: Sequence[str]) -> bool:
    if not packages:
        return True
    command = ("dpkg-query", "--show", "--showformat=${db:Status-Status}\n", "--", *packages)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and set(done.stdout.split()) == {"installed"}


def can_be_changed(folder: Path) -> bool:
    """Whether this machine has what it takes: overlays in `folder`, apt, and `/usr` as the only place of programs."""
    return (
        overlays.available(folder)
        and shutil.which("apt-get", path="/usr/bin") is not None
        and Path("/bin").is_symlink()
        and Path("/var/lib/dpkg/status").is_file()
    )


def is_layered(root: Path) -> bool:
    """Whether the tree holds files for the host's own folders. None of them has the loader load what it names."""
    _drop_preloading(root)
    return bool(_names(root / "etc")) or any(
        name not in LEFT_TO_THE_STAGE and os.path.lexists(f"/usr/{name}")
        for name in _names(root / "usr")
    )


def layer_folders(root: Path) -> list[str]:
    """The host's folders, by path, that an Actor sees those of the tree laid over: none, or two.

    Both are then real folders of the tree, whatever a link has led to there.
    """
    if not is_layered(root) or not overlays.available(root.parent):
        return []
    for name in ("usr", "etc"):
        place = root / name
        if place.is_symlink() or not place.is_dir():
            tree.remove(place)
            place.mkdir()
    return ["/usr", "/etc"]


def _names(folder: Path) -> list[str]:
    """What a folder of the tree holds, nothing if it is a link: that would be followed outside of the stage."""
    return os.listdir(folder) if folder.is_dir() and not folder.is_symlink() else []


def _drop_preloading(root: Path) -> None:
    """What is started in the stage with rights would load it first."""
    etc = root / "etc"
    if etc.is_dir() and not etc.is_symlink():
        tree.remove(etc / "ld.so.preload")


def forget_packages(root: Path) -> None:
    """Drop what only package managers use, once no step comes after."""
    for name in _FORGOTTEN:
        tree.remove(tree.resolve(root, f"/var/{name}", follow_last=False))


class HostSystem:
    """The host's system for the stages of one build. `folder` is its own."""

    def __init__(self, folder: Path, skeletons: Skeletons) -> None:
        folder.mkdir()
        self._folder = folder
        self._skeletons = skeletons
        self._views = 0

    @contextmanager
    def shown(self, root: Path) -> Generator[SystemFolders | None]:
        """The system of a stage for a step that cannot change it; None when it is the host's as it is."""
        if not is_layered(root) or not overlays.available(self._folder):
            yield None
            return
        below = {"usr": Path("/usr"), "etc": self._skeletons.part("etc")}
        with ExitStack() as stack:
            places = {
                name: stack.enter_context(
                    overlays.joined((*_own(root, name), lower), self._new_folder())
                )
                for name, lower in below.items()
            }
            yield SystemFolders(**places)

    @contextmanager
    def changing(self, root: Path, layer: Path) -> Generator[SystemFolders]:
        """The system of a stage for its root. What is written is in `layer/<name>/upper` afterwards."""
        _drop_preloading(root)
        with ExitStack() as stack:
            places = {
                name: stack.enter_context(
                    overlays.mounted(self._changeable(root, name), layer / name)
                )
                for name in CHANGED
            }
            yield SystemFolders(**places)

    @staticmethod
    def take_over(layer: Path, root: Path) -> None:
        """Make what the stage's root has changed part of the tree at `root`."""
        for name in CHANGED:
            upper = layer / name / "upper"
            _take_rights(upper)
            target = tree.make_directory(root, f"/{name}")
            overlays.take_over(upper, target)

    def _changeable(self, root: Path, name: str) -> tuple[Path, ...]:
        host = (Path("/usr"),) if name == "usr" else ()
        return (*_own(root, name), self._skeletons.part(name), *host)

    def _new_folder(self) -> Path:
        self._views += 1
        return self._folder / f"view-{self._views}"


def _own(root: Path, name: str) -> tuple[Path, ...]:
    """The stage's folder of that name, if it has one. What a link leads to is not the stage's."""
    place = root / name
    return (place,) if place.is_dir() and not place.is_symlink() else ()


def _take_rights(folder: Path) -> None:
    """No file that the stage's root has made lets anybody become its owner."""
    for place, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
                os.chmod(path, stat.S_IMODE(status.st_mode) & 0o777)


def give_to_actor(folder: Path) -> None:
    """What the stage's root has made outside the system is the Actor's, as everything there."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if FIRST_UID <= os.lstat(path).st_uid < FIRST_UID + COUNT:
                tree.give(Path(path))
    _take_rights(folder)
