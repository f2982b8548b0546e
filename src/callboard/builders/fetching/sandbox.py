"""What a builder offers to fetch in: nothing that speaks to a stranger's server runs outside a sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from callboard.executors.base import Mount


@dataclass(frozen=True)
class Step:
    """A program to run in a sandbox. `home`, the only folder to write to besides the mounts, is seen as `HOME`."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str
    home: Path
    tmp: Path
    mounts: tuple[Mount, ...]


@dataclass(frozen=True)
class Python:
    """An interpreter as the sandbox sees it, and the mounts that show it."""

    executable: str
    mounts: tuple[Mount, ...]


class Sandbox(Protocol):
    """Resolves names and reaches servers as the steps of a build do."""

    def folder(self, path: Path) -> Path:
        """Make an empty folder that the sandboxed program may write to."""
        ...

    def give(self, path: Path) -> None:
        """Make a file the sandboxed program's own."""
        ...

    def python(self) -> Python:
        """A Python 3.11 or later; its standard library is enough."""
        ...

    def run(self, step: Step) -> int:
        """Run to the end, output going to the build log, and return the exit code."""
        ...
