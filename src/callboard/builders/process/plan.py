"""What a Dockerfile amounts to before anything is run: for each stage, the operations left once variables are put in.

A plan depends only on the Dockerfile and the build arguments, so the identity of every step can be known, and looked
up among the cached layers, before the first one is run.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from callboard.builders.process.bases import Base, base_for
from callboard.builders.process.dockerfile import Dockerfile, Instruction, Stage
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.expansion import expand, expand_words, key_values

DEFAULT_SHELL = ("/bin/sh", "-c")
_ARCHIVE = re.compile(r"\.(tar(\.(gz|bz2|xz))?|tgz|txz)$")


@dataclass(frozen=True)
class CopyFiles:
    """COPY or ADD. `source` is None for the sources, else the stage copied from."""

    patterns: tuple[str, ...]
    target: str
    source: "StagePlan | None"
    mode: int | None


@dataclass(frozen=True)
class MakeFolder:
    """WORKDIR."""

    path: str


@dataclass(frozen=True)
class RunCommand:
    """RUN. `env` is what the Dockerfile sets, without what the builder adds."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str


@dataclass(frozen=True)
class ProvideUv:
    """COPY from the image of uv, which the builder has anyway."""


@dataclass(frozen=True)
class Remark:
    """An instruction that changes no files."""


Action: TypeAlias = CopyFiles | MakeFolder | RunCommand | ProvideUv | Remark


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


def make_plan(dockerfile: Dockerfile, build_arguments: Mapping[str, str]) -> Plan:
    """Plan every stage. Raises `BuildFailed` naming the line of an instruction that makes no sense."""
    planner = _Planner(dockerfile, build_arguments)
    for stage in dockerfile.stages:
        planner.add(stage)
    return Plan(tuple(planner.stages), planner.count)


class _Planner:
    def __init__(self, dockerfile: Dockerfile, build_arguments: Mapping[str, str]) -> None:
        self.stages: list[StagePlan] = []
        self.count = 0
        self._given = dict(build_arguments)
        self._globals: dict[str, str] = {}
        for instruction in dockerfile.arguments:
            self._globals.update(self._declared(instruction, self._globals, inherited={}))

    def add(self, stage: Stage) -> None:
        image = expand(stage.image, self._globals)
        if not image:
            raise BuildFailed(
                f"Dockerfile line {stage.line}: FROM names no image once its variables are put in."
            )
        plan = self._start(stage, image)
        for instruction in stage.instructions:
            try:
                action = self._action(plan, instruction)
            except BuildFailed as error:
                raise BuildFailed(f"Dockerfile line {instruction.line}: {error}") from error
            self.count += 1
            plan.steps.append(Step(self.count, instruction.text, action))
        self.stages.append(plan)

    def _start(self, stage: Stage, image: str) -> StagePlan:
        self.count += 1
        parent = self._earlier(image)
        text = f"FROM {image}" + (f" AS {stage.name}" if stage.name else "")
        if parent is None:
            base = base_for(image)
            state = StageState({**base.env}, {}, base.work_dir)
        else:
            base, old = parent.base, parent.state
            state = StageState({**old.env}, {}, old.cwd, old.shell, old.command, old.entrypoint)
        return StagePlan(self.count, text, base, parent, state, stage.name)

    def _earlier(self, name: str) -> StagePlan | None:
        for plan in reversed(self.stages):
            if plan.name is not None and plan.name == name.lower():
                return plan
        return None

    def _action(self, plan: StagePlan, item: Instruction) -> Action:
        state = plan.state
        match item.name:
            case "ENV":
                state.env.update(key_values(item.value, state.variables))
            case "ARG":
                state.arguments.update(
                    self._declared(item, state.variables, inherited=self._globals)
                )
            case "WORKDIR":
                state.cwd = state.absolute(expand(item.value, state.variables))
                return MakeFolder(state.cwd)
            case "COPY" | "ADD":
                return self._copy(state, item)
            case "RUN":
                argv = item.exec_form() or (*state.shell, item.value)
                return RunCommand(argv, state.variables, state.cwd)
            case _:
                return _configured(state, item)
        return Remark()

    def _declared(
        self, item: Instruction, variables: Mapping[str, str], *, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        """The values of ARG: what the build was given, else the default, else that before the first FROM."""
        found: dict[str, str] = {}
        for word in expand_words(item.value, variables):
            name, equals, default = word.partition("=")
            value = self._given.get(name, default if equals else inherited.get(name))
            if value is not None:
                found[name] = value
        return found

    def _copy(self, state: StageState, item: Instruction) -> CopyFiles | ProvideUv:
        if "astral-sh/uv" in item.flags.get("from", ""):
            return ProvideUv()
        words = item.exec_form()
        paths = (
            [expand(word, state.variables) for word in words]
            if words
            else expand_words(item.value, state.variables)
        )
        if len(paths) < 2:
            raise BuildFailed(f"{item.name} needs at least one source and a target.")
        for path in paths[:-1]:
            if "://" in path or path.startswith("git@"):
                raise BuildFailed(
                    f"{item.name} from a URL is not supported; fetch {path} in a RUN step."
                )
            if item.name == "ADD" and _ARCHIVE.search(path):
                raise BuildFailed(
                    f"ADD does not unpack {path}; COPY it and unpack it in a RUN step."
                )
        target = state.absolute(paths[-1]) + (
            "/" if paths[-1].endswith(("/", "/.")) or paths[-1] == "." else ""
        )
        return CopyFiles(tuple(paths[:-1]), target, self._copy_source(state, item), _mode(item))

    def _copy_source(self, state: StageState, item: Instruction) -> StagePlan | None:
        if "from" not in item.flags:
            return None
        name = expand(item.flags["from"], state.variables)
        if name.isdecimal() and int(name) < len(self.stages):
            return self.stages[int(name)]
        stage = self._earlier(name)
        if stage is None:
            raise BuildFailed(
                f"COPY --from={name}: there is no earlier stage of that name, and images are not pulled."
            )
        return stage


def _configured(state: StageState, item: Instruction) -> Remark:
    match item.name:
        case "SHELL":
            shell = item.exec_form()
            if not shell:
                raise BuildFailed('SHELL needs the form ["program", "-c"].')
            state.shell = shell
        case "CMD":
            state.command = _command(state, item)
        case "ENTRYPOINT":
            state.entrypoint = _command(state, item)
            state.command = None
        case _:  # USER and what only matters to containers: every step runs as the Actor's own user
            pass
    return Remark()


def _command(state: StageState, item: Instruction) -> tuple[str, ...] | None:
    words = item.exec_form()
    if words is not None:
        return words or None
    return (*state.shell, item.value) if item.value else None


def _mode(item: Instruction) -> int | None:
    text = item.flags.get("chmod")
    if text is None:
        return None
    try:
        return int(text, 8) & 0o777
    except ValueError:
        raise BuildFailed(f"--chmod={text} must be an octal number.") from None


def start_command(state: StageState) -> Sequence[str]:
    """ENTRYPOINT and CMD together, as a container would start. Empty when the Dockerfile names neither."""
    entrypoint = state.entrypoint or ()
    if state.entrypoint is not None and state.entrypoint[:-1] == state.shell:
        return entrypoint  # the shell form of ENTRYPOINT takes no arguments
    return (*entrypoint, *(state.command or ()))
