"""What the instructions of a Dockerfile amount to: the actions that make a stage, and its state besides files."""

import posixpath
from dataclasses import dataclass, field
from typing import TypeAlias

from callboard.builders.process.bases import Base
from callboard.builders.process.dockerfile import Instruction

DEFAULT_SHELL = ("/bin/sh", "-c")
ROOT_USERS = frozenset({"", "0", "root"})


@dataclass(frozen=True)
class CopyFiles:
    """COPY or ADD. `source` is None for the sources, else the stage copied from."""

    patterns: tuple[str, ...]
    target: str
    source: "StagePlan | None"
    mode: int | None
    unpack: bool = False
    """Whether archives are unpacked at the target instead of copied."""
    excluded: tuple[str, ...] = ()
    """Patterns of files below the copied ones that are left out."""


@dataclass(frozen=True)
class CopyTexts:
    """COPY or ADD of here-documents: names and contents of files for `target`, a folder if it ends in a slash."""

    texts: tuple[tuple[str, str], ...]
    target: str
    mode: int | None


@dataclass(frozen=True)
class AddUrl:
    """ADD of a file that is downloaded. `checksum` is a SHA-256 that it must have, or empty."""

    url: str
    target: str
    mode: int | None
    checksum: str


@dataclass(frozen=True)
class MakeFolder:
    """WORKDIR."""

    path: str


@dataclass(frozen=True)
class Lent:
    """RUN --mount: files that a step finds at `target` and that are gone after it. Without `pattern`, a folder."""

    target: str
    pattern: str | None = None
    source: "StagePlan | None" = None


@dataclass(frozen=True)
class RunCommand:
    """RUN. `env` is what the Dockerfile sets, without what the builder adds."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    as_root: bool = False
    """Whether the user in force is root, so that the step may change the system of its stage."""
    lent: tuple[Lent, ...] = ()


@dataclass(frozen=True)
class ProvideUv:
    """COPY from the image of uv, which the builder has anyway."""


@dataclass(frozen=True)
class Remark:
    """An instruction that changes no files."""


Action: TypeAlias = CopyFiles | CopyTexts | AddUrl | MakeFolder | RunCommand | ProvideUv | Remark


@dataclass(frozen=True)
class Step:
    """One instruction as the log shows it."""

    number: int
    text: str
    action: Action


@dataclass
class StageState:
    """What instructions change besides files."""

    env: dict[str, str]
    arguments: dict[str, str]
    cwd: str
    shell: tuple[str, ...] = DEFAULT_SHELL
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    user: str = ""
    triggers: tuple[Instruction, ...] = ()
    """What ONBUILD has put off until a stage starts from this one."""

    @property
    def variables(self) -> dict[str, str]:
        """For expansion and for RUN: ENV wins over ARG."""
        return {**self.arguments, **self.env}

    def absolute(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.cwd, path)).replace("//", "/")


@dataclass
class StagePlan:
    """A stage ready to be made. `parent` is the earlier stage it starts from, if not from an image."""

    number: int
    """Negative for an image that is only copied from."""
    text: str
    base: Base
    parent: "StagePlan | None"
    state: StageState
    name: str | None = None
    steps: list[Step] = field(default_factory=list[Step])


@dataclass(frozen=True)
class Plan:
    """The last stage is the Actor. `step_count` counts all instructions."""

    stages: tuple[StagePlan, ...]
    step_count: int
