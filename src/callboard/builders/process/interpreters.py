"""Which Python, Node and browser this host has, and which of them comes nearest to what a Dockerfile asks for."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OLDEST_PYTHON = (3, 8)
"""The oldest version the installer makes environments for."""

_BROWSERS = (
    "/usr/lib/chromium/chromium",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/usr/lib/chromium-browser/chromium-browser",
    "/usr/lib/chromium/chrome",
    "/opt/google/chrome/chrome",
    "/opt/chromium.org/chromium/chrome",
)
"""Where packages of distributions have the program."""
_VERSIONED = re.compile(r"(?:cpython-)?(\d+)\.(\d+)(?:\.(\d+))?")
_PYTHON_FILE = re.compile(r"python(\d+)\.(\d+)")


@dataclass(frozen=True)
class Interpreter:
    """A program of the host and the folder it needs to see itself in."""

    executable: Path
    prefix: Path
    version: tuple[int, int]

    @property
    def shown(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def in_system(self) -> bool:
        """Whether the sandbox shows it anyway, with the rest of the host's system."""
        return self.prefix.is_relative_to("/usr")


def own_python() -> Interpreter:
    """The interpreter the server runs on: known to work, and the default."""
    executable = Path(os.path.realpath(sys.executable))
    return Interpreter(executable, Path(sys.base_prefix).resolve(), sys.version_info[:2])


def nearest_python(wanted: tuple[int, int] | None) -> Interpreter:
    """The wanted version, else the next newer one of the host, else the newest older one."""
    own = own_python()
    if wanted is None or wanted == own.version:
        return own
    found = {interpreter.version: interpreter for interpreter in _pythons(os.environ)}
    found[own.version] = own
    newer = [version for version in found if version >= wanted]
    return found[min(newer) if newer else max(found)]


def _pythons(environ: Mapping[str, str]) -> Iterator[Interpreter]:
    for directory in (Path("/usr/local/bin"), Path("/usr/bin")):
        yield from _in_directory(directory)
    for prefix in _prefixes(environ):
        match = _VERSIONED.match(prefix.name)
        if match is not None:
            version = (int(match[1]), int(match[2]))
            executable = prefix / "bin" / f"python{version[0]}.{version[1]}"
            if version >= OLDEST_PYTHON and executable.is_file():
                yield Interpreter(executable, prefix, version)


def _in_directory(directory: Path) -> Iterator[Interpreter]:
    for path in sorted(directory.glob("python3.*")):
        match = _PYTHON_FILE.fullmatch(path.name)
        if match is not None and (version := (int(match[1]), int(match[2]))) >= OLDEST_PYTHON:
            executable = path.resolve()
            yield Interpreter(executable, executable.parent.parent, version)


def _prefixes(environ: Mapping[str, str]) -> Iterable[Path]:
    """Folders of whole installations, one version each, as pyenv and uv lay them out. Newest patch last."""
    home = Path(environ.get("HOME", "/root"))
    roots = (
        Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python"),
    )
    for root in roots:
        try:
            yield from sorted(root.iterdir(), key=_version_key)
        except OSError:
            continue


def _version_key(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", path.name)[:3])


def nearest_node(major: int | None) -> Interpreter | None:
    """The wanted major version, else the next newer one of the host, else the newest older one."""
    own = node()
    if own is None or major is None or major == own.version[0]:
        return own
    found = {one.version[0]: one for one in (*_nodes(os.environ), own)}
    newer = [version for version in found if version >= major]
    return found[min(newer) if newer else max(found)]


def _nodes(environ: Mapping[str, str]) -> Iterator[Interpreter]:
    """Those that nvm has installed."""
    home = Path(environ.get("NVM_DIR") or Path(environ.get("HOME", "/root")) / ".nvm")
    versions = home / "versions/node"
    for prefix in sorted(versions.iterdir(), key=_version_key) if versions.is_dir() else ():
        match = _VERSIONED.match(prefix.name.removeprefix("v"))
        if match is not None and (prefix / "bin/npm").exists():
            yield Interpreter(prefix / "bin/node", prefix, (int(match[1]), int(match[2])))


@cache
def node() -> Interpreter | None:
    """The host's Node, or None. It must come with npm to be of use."""
    program = shutil.which("node")
    if program is None or shutil.which("npm", path=str(Path(program).parent)) is None:
        return None
    shown = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    match = re.match(r"v(\d+)\.(\d+)", shown.stdout)
    if match is None:
        return None
    executable = Path(program).resolve()
    return Interpreter(executable, executable.parent.parent, (int(match[1]), int(match[2])))


@cache
def browser() -> Interpreter | None:
    """The host's Chromium or Chrome itself, not a script that starts it, or None."""
    for name in _BROWSERS:
        executable = Path(name)
        if executable.is_file() and os.access(executable, os.X_OK):
            return Interpreter(executable, executable.parent, (0, 0))
    return None
