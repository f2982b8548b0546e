"""What a Dockerfile amounts to before anything is run: for each stage, the operations left once variables are put in.

A plan depends only on the Dockerfile and the build arguments, so the identity of every step can be known, and looked
up among the cached layers, before the first one is run.
"""

import platform
from collections.abc import Mapping, Sequence

from callboard.builders.process.actions import (
    ROOT_USERS,
    Action,
    MakeFolder,
    Plan,
    Remark,
    RunCommand,
    StagePlan,
    StageState,
    Step,
)
from callboard.builders.process.bases import base_for
from callboard.builders.process.copy_plan import CopyPlanner
from callboard.builders.process.dockerfile import Dockerfile, Instruction, Stage
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.expansion import expand, expand_words, key_values
from callboard.builders.process.heredocs import without_marks

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_HERE = "callboard_here_document"


def make_plan(dockerfile: Dockerfile, build_arguments: Mapping[str, str]) -> Plan:
    """Plan every stage. Raises `BuildFailed` naming the line of an instruction that makes no sense."""
    planner = _Planner(dockerfile, build_arguments)
    for stage in dockerfile.stages:
        planner.add(stage)
    return Plan(tuple(planner.stages), planner.count)


def _platform_arguments() -> dict[str, str]:
    """What every Dockerfile may declare by ARG without being given it."""
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    values = {"PLATFORM": f"linux/{architecture}", "OS": "linux", "ARCH": architecture}
    return {
        side + name: value for side in ("BUILD", "TARGET") for name, value in values.items()
    } | {"TARGETVARIANT": ""}


class _Planner:
    def __init__(self, dockerfile: Dockerfile, build_arguments: Mapping[str, str]) -> None:
        self.stages: list[StagePlan] = []
        self.count = 0
        self._given = dict(build_arguments)
        self._globals: dict[str, str] = _platform_arguments()
        self._copying = CopyPlanner(self.stages)
        for instruction in dockerfile.arguments:
            self._globals.update(self._declared(instruction, self._globals, inherited={}))

    def add(self, stage: Stage) -> None:
        image = expand(stage.image, self._globals)
        if not image:
            raise BuildFailed(
                f"Dockerfile line {stage.line}: FROM names no image once its variables are put in."
            )
        plan, triggers = self._start(stage, image)
        for instruction in (*triggers, *stage.instructions):
            try:
                action = self._action(plan, instruction)
            except BuildFailed as error:
                raise BuildFailed(f"Dockerfile line {instruction.line}: {error}") from error
            self.count += 1
            plan.steps.append(Step(self.count, instruction.text, action))
        self.stages.append(plan)

    def _start(self, stage: Stage, image: str) -> tuple[StagePlan, tuple[Instruction, ...]]:
        """The stage without its steps, and what the stage it starts from has put off."""
        self.count += 1
        parent = self._copying.earlier(image)
        text = f"FROM {image}" + (f" AS {stage.name}" if stage.name else "")
        if parent is None:
            base = base_for(image)
            state = StageState({**base.env}, {}, base.work_dir)
            return StagePlan(self.count, text, base, None, state, stage.name), ()
        base, old = parent.base, parent.state
        state = StageState(
            {**old.env}, {}, old.cwd, old.shell, old.command, old.entrypoint, old.user
        )
        return StagePlan(self.count, text, base, parent, state, stage.name), old.triggers

    def _action(self, plan: StagePlan, item: Instruction) -> Action:
        state = plan.state
        match item.name:
            case "ENV":
                state.env.update(key_values(item.value, state.variables, escape=item.escape))
            case "ARG":
                state.arguments.update(
                    self._declared(item, state.variables, inherited=self._globals)
                )
            case "WORKDIR":
                path = expand(item.value, state.variables, escape=item.escape)
                state.cwd = state.absolute(path)
                return MakeFolder(state.cwd)
            case "COPY" | "ADD":
                return self._copying.action(plan, item)
            case "RUN":
                return self._run(state, item)
            case _:
                return _configured(state, item)
        return Remark()

    def _run(self, state: StageState, item: Instruction) -> RunCommand:
        argv = item.exec_form() or (*state.shell, _script(item))
        as_root = state.user in ROOT_USERS
        lent = tuple(self._copying.lent(state, item))
        return RunCommand(argv, state.variables, state.cwd, as_root, lent)

    def _declared(
        self, item: Instruction, variables: Mapping[str, str], *, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        """The values of ARG: what the build was given, else the default, else that before the first FROM."""
        found: dict[str, str] = {}
        for word in expand_words(item.value, variables, escape=item.escape):
            name, equals, default = word.partition("=")
            value = self._given.get(name, default if equals else inherited.get(name))
            if value is not None:
                found[name] = value
        return found


def _script(item: Instruction) -> str:
    """The command line of RUN in shell form, here-documents included: a lone one is the script itself."""
    if not item.heredocs:
        return item.value
    first = item.heredocs[0]
    if len(item.heredocs) == 1 and not without_marks(item.value).strip():
        return _own_interpreter(first.content) if first.content.startswith("#!") else first.content
    # The shell reads documents that follow its command line by itself.
    return "\n".join([item.value, *(f"{one.content}{one.name}" for one in item.heredocs), ""])


def _own_interpreter(script: str) -> str:
    """A shell command that runs a script that names its interpreter."""
    return (
        f"file=$(mktemp) && cat >\"$file\" <<'{_HERE}'\n{script}{_HERE}\n"
        '[ -s "$file" ] && chmod 700 "$file" && "$file"; code=$?; rm -f "$file"; exit $code\n'
    )


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
        case "USER":
            user = expand(item.value, state.variables, escape=item.escape)
            state.user = user.partition(":")[0].strip()
        case "ONBUILD" if item.trigger is not None:
            state.triggers = (*state.triggers, item.trigger)
        case _:  # what only matters to containers
            pass
    return Remark()


def _command(state: StageState, item: Instruction) -> tuple[str, ...] | None:
    words = item.exec_form()
    if words is not None:
        return words or None
    return (*state.shell, item.value) if item.value else None


def start_command(state: StageState) -> Sequence[str]:
    """ENTRYPOINT and CMD together, as a container would start. Empty when the Dockerfile names neither."""
    entrypoint = state.entrypoint or ()
    if state.entrypoint is not None and state.entrypoint[:-1] == state.shell:
        return entrypoint  # the shell form of ENTRYPOINT takes no arguments
    return (*entrypoint, *(state.command or ()))
