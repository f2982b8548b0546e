"""Download caches shared by all builds, and how they stay clean.

Build steps run code of the Actor and of its packages, which could put anything into a cache it may write to. So
steps get a view of the shared caches whose changes are thrown away with the build. What fills the shared caches is
fetching alone: uv told to build nothing, on requirement files only, away from the stage and from everything in it.
It fetches into a view, too, so that what it fetches counts as the build's until all of it has been had.
"""

import fcntl
import os
import re
import shlex
import shutil
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from callboard.builders.process import overlays, tree
from callboard.builders.process.interpreters import Interpreter
from callboard.builders.process.steps import private_folder

CACHES = ("uv", "npm")
_OPERATORS = frozenset({"&&", "||", ";", "|", "&", "\n"})
_PLAIN_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?([=<>!~]=?[\w.,*<>=!~]+)?")
_MAX_REQUIREMENTS_BYTES = 1024 * 1024


class Downloads:
    """The shared caches below `shared`, as one build sees them. `folder` is the build's own."""

    def __init__(self, shared: Path, folder: Path) -> None:
        self._shared = shared
        self._folder = folder
        self._lock = -1
        self._stack = ExitStack()
        shared.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("", *CACHES):
            folder = shared / "caches" / name
            folder.mkdir(exist_ok=True)
            tree.give(folder)  # each time, as an interrupted build may have left it at making it

    def view(self) -> Path:
        """A folder with the caches that the steps may write to. Empty where no view of the shared ones can be had."""
        folder = self._folder / "view"
        if not overlays.available(self._shared):
            if not folder.exists():
                _empty_caches(folder)
            return folder
        if not folder.exists():
            self._stack.enter_context(self._locked(fcntl.LOCK_SH))
            self._stack.enter_context(overlays.mounted(self._shared / "caches", folder))
        return folder / "merged"

    @contextmanager
    def to_fill(self) -> Generator[Path | None]:
        """A view whose changes go to the shared caches in the end; None while another build looks at them."""
        if not overlays.available(self._shared) or (self._folder / "view").exists():
            yield None
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                yield None
                return
            caches, folder = self._shared / "caches", self._folder / f"fill-{uuid4().hex}"
            with overlays.mounted(caches, folder) as view:
                yield view
            _add(folder / "upper", caches)

    def close(self) -> None:
        """Give up the view."""
        self._stack.close()

    @contextmanager
    def _locked(self, mode: int) -> Generator[None]:
        """An overlay must not be in use while the folder below it changes."""
        descriptor = os.open(self._shared / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)


def _add(upper: Path, caches: Path) -> None:
    """Move what is new into the caches. Cut off at any point it leaves what their tools can use.

    New folders are moved whole, and in the order of names: content (`archive-v0`, `content-v2`) is in folders of its
    own and comes before what refers to it (`simple`, `wheels`, `index-v5`).
    """
    for entry in sorted(os.scandir(upper), key=lambda entry: entry.name):
        source, place = Path(entry.path), caches / entry.name
        mode = entry.stat(follow_symlinks=False).st_mode
        was_folder = place.is_dir() and not place.is_symlink()
        if stat.S_ISDIR(mode) and was_folder:
            _add(source, place)
            continue
        is_deleted = stat.S_ISCHR(mode)  # says an overlay
        if is_deleted or was_folder or stat.S_ISDIR(mode):
            tree.remove(place)
        if not is_deleted:
            source.rename(place)


def _empty_caches(folder: Path) -> None:
    private_folder(folder)
    for name in CACHES:
        private_folder(folder / name)


class Requirements:
    """What the `pip install` commands in a step ask for: plain names, and files as they lie in the stage."""

    def __init__(self, command: Sequence[str]) -> None:
        self.names: list[str] = []
        self.files: list[str] = []
        for words in _installs(command):
            self._read(iter(words))

    def __bool__(self) -> bool:
        return bool(self.names or self.files)

    def _read(self, words: Iterator[str]) -> None:
        for word in words:
            if word in {"-r", "--requirement"}:
                self.files.append(next(words, ""))
            elif word.startswith("--requirement="):
                self.files.append(word.partition("=")[2])
            elif _PLAIN_REQUIREMENT.fullmatch(word):
                self.names.append(word)

    def copy_files(self, root: Path, cwd: str, target: Path) -> list[str]:
        """Copy the files out of the stage and return their new names. Those that are not there are left out."""
        names: list[str] = []
        for number, file in enumerate(self.files):
            place = tree.resolve(root, file if file.startswith("/") else f"{cwd}/{file}")
            if place.is_file() and place.stat().st_size <= _MAX_REQUIREMENTS_BYTES:
                suffix = "pyproject.toml" if place.name == "pyproject.toml" else "requirements.txt"
                (target / str(number)).mkdir()
                shutil.copyfile(place, target / str(number) / suffix)
                names.append(f"{number}/{suffix}")
        return names


def _installs(command: Sequence[str]) -> Iterator[list[str]]:
    """The arguments of each `pip install` in a command."""
    for words in simple_commands(command):
        for index, word in enumerate(words):
            if (
                word == "install"
                and index > 0
                and words[index - 1].rpartition("/")[2] in {"pip", "pip3"}
            ):
                yield words[index + 1 :]
                break


def command_line(command: Sequence[str]) -> str | None:
    """What a shell is told to do, if the command is a shell's."""
    is_shell = len(command) > 2 and command[-2].startswith("-") and command[-2].endswith("c")
    return command[-1] if is_shell else None


def simple_commands(command: Sequence[str]) -> Iterator[list[str]]:
    """The words of each command that a shell would start. None of them if they cannot be told apart."""
    if (line := command_line(command)) is None:
        yield list(command)
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return
    current: list[str] = []
    for word in words:
        if word in _OPERATORS:
            yield current
            current = []
        else:
            current.append(word)
    yield current


def fetch_script(
    uv: str, python: Interpreter, requirements: Sequence[str], files: Sequence[str]
) -> str:
    """A shell script that fills uv's cache. The environment it makes is only a means, and goes again."""
    place = f"/run/callboard/cache/fetch-{uuid4().hex}"
    wanted = [
        *requirements,
        *(word for file in files for word in ("-r", f"/run/callboard/wanted/{file}")),
    ]
    make = shlex.join(
        (uv, "venv", "--quiet", "--no-config", "--python", str(python.executable), place)
    )
    install = (
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--no-build",
        "--link-mode",
        "symlink",
    )
    fetch = shlex.join((*install, "--python", f"{place}/bin/python", *wanted))
    return f"{make} && {fetch}; rm -rf {place}"
