"""COPY: which files a pattern names, what they amount to for the layer cache, and their way into a stage."""

import hashlib
import os
import posixpath
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from callboard.builders.process import tree
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.ignoring import IgnoreRules, glob_regex, has_glob

_SYSTEM = ("/usr/bin/", "/usr/lib/", "/usr/share/", "/usr/include/", "/usr/sbin/", "/bin/", "/lib/")
"""Where stages see the host's files. Nothing there is anybody's secret."""
_SYSTEM_BIN = frozenset({"/bin", "/usr/bin", "/sbin", "/usr/sbin"})
"""Read-only in a stage; files copied there go where the search path looks first."""


@dataclass(frozen=True)
class Origin:
    """What COPY takes files from: the sources, or the tree of an earlier stage or of an image."""

    root: Path
    rules: IgnoreRules = field(default_factory=IgnoreRules)
    has_system: bool = False
    """Whether the host's system shows where the tree has nothing, as it does for the steps of a stage."""
    excluded: IgnoreRules = field(default_factory=IgnoreRules)
    """Of paths below what a pattern names."""

    def place(self, path: str, *, follow_last: bool = True) -> Path:
        """Where the absolute path of the origin lies on the host."""
        place = tree.resolve(self.root, path, follow_last=follow_last)
        if self.has_system and not os.path.lexists(place):
            inside = Path("/", place.relative_to(self.root))
            return _of_the_system(inside, follow_last=follow_last) or place
        return place

    def matches(self, patterns: Sequence[str]) -> list[str]:
        """The absolute paths below the root that the patterns name. A plain path must exist."""
        found: list[str] = []
        for pattern in patterns:
            normal = posixpath.normpath("/" + pattern.lstrip("/"))
            paths = [
                path
                for path in self._glob(normal)
                if path == "/" or not self.rules.ignores(path[1:])
            ]
            if not paths and not has_glob(pattern):
                raise BuildFailed(f"COPY: {pattern} is not there.")
            found += paths
        return found

    def _glob(self, pattern: str) -> list[str]:
        paths = ["/"]
        for segment in pattern.split("/")[1:]:
            if segment:
                paths = [path for parent in paths for path in self._below(parent, segment)]
        return paths

    def _below(self, parent: str, segment: str) -> Iterator[str]:
        if not has_glob(segment):
            path = posixpath.join(parent, segment)
            if os.path.lexists(self.place(path, follow_last=False)):
                yield path
            return
        expression = _compiled(segment)
        place = self.place(parent)
        names = sorted(os.listdir(place)) if place.is_dir() else []
        yield from (posixpath.join(parent, name) for name in names if expression.fullmatch(name))

    def entries(self, match: str) -> Iterator[tuple[str, Path]]:
        """Every file, link and folder of a match, named relative to it; a file's own name is empty."""
        place = self.place(match)
        if not place.is_dir():
            yield "", place
            return
        yield from self._walk(place, match, "")

    def _walk(self, folder: Path, match: str, relative: str) -> Iterator[tuple[str, Path]]:
        for entry in sorted(os.scandir(folder), key=lambda item: item.name):
            name = f"{relative}{entry.name}"
            is_folder = entry.is_dir(follow_symlinks=False)
            full = posixpath.join(match, name)[1:]
            if not folder.is_relative_to(self.root) and not _is_public(entry.path):
                continue
            if not self.rules.ignores(full) and not self.excluded.ignores(name):
                yield name, Path(entry.path)
            if is_folder:
                yield from self._walk(Path(entry.path), match, name + "/")


def _of_the_system(path: Path, *, follow_last: bool) -> Path | None:
    """Where a path of the host's system leads, if what is there is for everybody to read."""
    if not str(path).startswith(_SYSTEM):
        return None
    real = path.resolve() if follow_last else path.parent.resolve() / path.name
    return real if real.is_relative_to("/usr") and _is_public(real) else None


def _is_public(path: str | Path) -> bool:
    """Whether everybody may read it; for a folder, also look in."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & wanted == wanted


def _compiled(segment: str) -> re.Pattern[str]:
    try:
        return re.compile(glob_regex(segment))
    except re.error as error:
        raise BuildFailed(f"COPY: {segment} is not a pattern: {error}.") from error


def digest(origin: Origin, patterns: Sequence[str]) -> str:
    """What the named files amount to: names, kinds, executable bits and contents."""
    total = hashlib.sha256()
    for match in origin.matches(patterns):
        for name, place in origin.entries(match):
            status = os.lstat(place)
            line = f"{posixpath.join(match, name)}\0{status.st_mode & 0o170111:o}\0".encode(
                "utf-8", "surrogateescape"
            )
            total.update(line + _content_digest(place, status))
    return total.hexdigest()


def _content_digest(place: Path, status: os.stat_result) -> bytes:
    if stat.S_ISLNK(status.st_mode):
        return hashlib.sha256(os.fsencode(os.readlink(place))).digest()
    if not stat.S_ISREG(status.st_mode):
        return b""
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@dataclass
class Placement:
    """One COPY into the stage at `root`."""

    root: Path
    mode: int | None = None
    _folders: dict[str, Path] = field(default_factory=dict[str, Path])

    def copy(self, origin: Origin, patterns: Sequence[str], target: str) -> int:
        """Put the named files at `target` and return how many there were."""
        matches = origin.matches(patterns)
        folder = target.rstrip("/") or "/"
        if folder in _SYSTEM_BIN:
            folder, target = "/usr/local/bin", "/usr/local/bin/"
        into_folder = (
            target.endswith("/") or len(matches) > 1 or tree.resolve(self.root, folder).is_dir()
        )
        count = 0
        for match in matches:
            is_file = not origin.place(match).is_dir()
            start = (
                posixpath.join(folder, posixpath.basename(match))
                if is_file and into_folder
                else folder
            )
            if not is_file:
                self._folder(folder)
            for name, place in origin.entries(match):
                self._put(place, posixpath.join(start, name) if name else start)
                count += 1
        return count

    def write(self, texts: Sequence[tuple[str, str]], target: str) -> None:
        """Make files of texts: in the folder `target` if it ends in a slash, else the only one in its place."""
        for name, text in texts:
            path = posixpath.join(target, name) if target.endswith("/") else target
            place = self._place_for_file(path)
            tree.write_file(place, text.encode(), mode=0o644 if self.mode is None else self.mode)

    def put(self, file: Path, name: str, target: str) -> None:
        """Copy one file of the host to `target`, under its own name if that is a folder."""
        is_folder = target.endswith("/") or tree.resolve(self.root, target).is_dir()
        place = self._place_for_file(posixpath.join(target, name) if is_folder else target)
        tree.remove(place)
        shutil.copyfile(file, place)
        place.chmod(0o644 if self.mode is None else self.mode)
        tree.give(place)

    def lend(self, origin: Origin, pattern: str, target: str) -> list[str]:
        """Copy what is named to the very path `target`, but for what is there. Returns what was added."""
        added: list[str] = []
        for match in origin.matches((pattern,)):
            for name, place in origin.entries(match):
                path = posixpath.join(target, name) if name else target
                if not os.path.lexists(tree.resolve(self.root, path)):
                    added += tree.missing_parents(self.root, path)
                    self._put(place, path)
        return added

    def _place_for_file(self, path: str) -> Path:
        return self._folder(posixpath.dirname(path)) / posixpath.basename(path)

    def _folder(self, path: str) -> Path:
        if path not in self._folders:
            self._folders[path] = tree.make_directory(self.root, path)
        return self._folders[path]

    def _put(self, source: Path, target: str) -> None:
        status = os.lstat(source)
        if stat.S_ISDIR(status.st_mode):
            self._folder(target)
            return
        place = self._folder(posixpath.dirname(target)) / posixpath.basename(target)
        if place.is_dir() and not place.is_symlink():
            _remove_empty(place, target)
        place.unlink(missing_ok=True)
        if stat.S_ISLNK(status.st_mode):
            place.symlink_to(os.readlink(source))
        elif stat.S_ISREG(status.st_mode):
            self._put_file(source, place, status)
        else:
            return
        tree.give(place)

    def _put_file(self, source: Path, place: Path, status: os.stat_result) -> None:
        shutil.copyfile(source, place)
        place.chmod(self.mode if self.mode is not None else status.st_mode & 0o777)
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def _remove_empty(place: Path, shown: str) -> None:
    """Make way for a file where the stage has but an empty folder."""
    try:
        place.rmdir()
    except OSError:
        raise BuildFailed(f"COPY: {shown} is a folder and cannot be replaced by a file.") from None
