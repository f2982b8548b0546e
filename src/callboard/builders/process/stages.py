"""Making stages: steps run one after the other, each tree kept for the next build that comes to the same step."""

import time
from pathlib import Path

from uv import find_uv_bin

from callboard.builders.process import copying, node_packages, tree
from callboard.builders.process.copying import Origin, Placement
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.layers import Layers, identity
from callboard.builders.process.plan import (
    CopyFiles,
    MakeFolder,
    Plan,
    ProvideUv,
    RunCommand,
    StagePlan,
    Step,
)
from callboard.builders.process.views import named_folders
from callboard.builders.process.workbench import StageTree, Workbench
from callboard.executors.launcher.sandbox import HOME

_WORTH_KEEPING_SECS = 0.25
_COPYING_TO_LINKING = 6
"""How much longer it takes to copy a tree than to link it."""


class StageMaker:
    """Makes the stages of one build below `folder`, each once and only when it is needed."""

    def __init__(
        self,
        *,
        folder: Path,
        sources: Origin,
        layers: Layers,
        workbench: Workbench,
        use_cache: bool,
    ) -> None:
        self._folder = folder
        self._sources = sources
        self._layers = layers
        self._workbench = workbench
        self._use_cache = use_cache
        self._made: dict[int, StageTree] = {}
        self._keys: dict[int, list[str]] = {}
        self._total = 0
        self.named: list[str] = []
        """Folders that the Dockerfile speaks of, made before the first step."""
        folder.mkdir(parents=True)

    def make(self, plan: Plan) -> StageTree:
        """Make the last stage, and of the others those it takes files from."""
        self._total = plan.step_count
        steps = [step for stage in plan.stages for step in stage.steps]
        self.named = named_folders(
            step.text for step in steps if step.text.startswith(("RUN", "VOLUME"))
        )
        return self._stage(plan.stages[-1])

    def _stage(self, stage: StagePlan) -> StageTree:
        if stage.number not in self._made:
            self._made[stage.number] = self._make_stage(stage)
        return self._made[stage.number]

    def _make_stage(self, stage: StagePlan) -> StageTree:
        kept = self._kept_steps(stage)
        self._make_needed(stage, kept)
        self._say(stage.number, stage.text)
        for note in stage.base.notes if stage.parent is None else ():
            print(note, flush=True)
        made, done = self._start(stage, kept)
        for index, step in enumerate(stage.steps):
            if index < done:
                self._say(step.number, f"{step.text} (cached)")
                continue
            self._say(step.number, step.text)
            self._perform(stage, made, step, key=self._stage_keys(stage)[index + 1])
        return made

    def _kept_steps(self, stage: StagePlan) -> int:
        """How many steps an earlier build has done for us."""
        keys = self._stage_keys(stage)
        for count in range(len(stage.steps), 0, -1) if self._use_cache else ():
            if isinstance(stage.steps[count - 1].action, RunCommand) and self._layers.has(
                keys[count]
            ):
                return count
        return 0

    def _make_needed(self, stage: StagePlan, kept: int) -> None:
        """Make the stages that this one goes on from or takes files from, first ones first."""
        sources = [
            step.action.source for step in stage.steps[kept:] if isinstance(step.action, CopyFiles)
        ]
        needed = [*sources, None if kept else stage.parent]
        for other in sorted((one for one in needed if one is not None), key=lambda one: one.number):
            self._stage(other)

    def _start(self, stage: StagePlan, kept: int) -> tuple[StageTree, int]:
        """The tree to go on with, and how many steps are done in it."""
        root = self._folder / str(stage.number)
        started = time.monotonic()
        if kept and self._layers.restore(self._stage_keys(stage)[kept], root):
            return StageTree(root, shared=True, clone_secs=time.monotonic() - started), kept
        if stage.parent is not None:
            parent = self._stage(stage.parent)
            tree.clone(parent.root, root, link=True)
            parent.shared = True
            return StageTree(root, shared=True), 0
        return self._fresh(stage, root), 0

    def _fresh(self, stage: StagePlan, root: Path) -> StageTree:
        root.mkdir()
        for folder in (HOME, f"{HOME}/.npm", "/tmp", "/usr/src", "/usr/local", stage.base.work_dir):
            tree.make_directory(root, folder)
        for folder in self.named:
            tree.make_directory(root, folder)
        (root / "tmp").chmod(0o1777)
        made = StageTree(root)
        if stage.base.node_packages:
            node_packages.provide(stage.base, made, layers=self._layers, workbench=self._workbench)
        return made

    def _perform(self, stage: StagePlan, made: StageTree, step: Step, *, key: str) -> None:
        match step.action:
            case CopyFiles() as copy:
                origin = self._origin(copy)
                Placement(made.root, copy.mode).copy(origin, copy.patterns, copy.target)
            case MakeFolder(path):
                tree.make_directory(made.root, path)
            case ProvideUv():
                self._provide_uv(made)
            case RunCommand() as command:
                self._run_step(stage, made, step, command, key=key)
            case _:
                pass

    def _run_step(
        self, stage: StagePlan, made: StageTree, step: Step, command: RunCommand, *, key: str
    ) -> None:
        started = time.monotonic()
        code = self._workbench.step(stage.base, made, command)
        if code != 0:
            raise BuildFailed(
                f"Step {step.number}/{self._total} failed with exit code {code}: {step.text}"
            )
        made.unkept_secs += time.monotonic() - started
        # A tree that is kept has to be copied before the next step: that must cost less than what it may save.
        if made.unkept_secs >= max(_WORTH_KEEPING_SECS, made.clone_secs * _COPYING_TO_LINKING):
            self._keep(made, key)

    def _keep(self, made: StageTree, key: str) -> None:
        made.shared = True
        made.unkept_secs = 0
        started = time.monotonic()
        try:
            self._layers.save(key, made.root)
            made.clone_secs = time.monotonic() - started
        except OSError as error:
            print(f"Warning: the step is not kept for later builds: {error}", flush=True)

    @staticmethod
    def _provide_uv(made: StageTree) -> None:
        folder = tree.make_directory(made.root, "/usr/local/bin")
        tree.write_file(folder / "uv", Path(find_uv_bin()).read_bytes(), mode=0o755)

    def _origin(self, copy: CopyFiles) -> Origin:
        return self._sources if copy.source is None else Origin(self._stage(copy.source).root)

    def _stage_keys(self, stage: StagePlan) -> list[str]:
        """Identity of the stage's start and of each step in it."""
        if stage.number not in self._keys:
            start = identity(stage.base.identity, *self.named)
            keys = [start if stage.parent is None else self._stage_keys(stage.parent)[-1]]
            for step in stage.steps:
                try:
                    keys.append(identity(keys[-1], *self._decisive(step)))
                except BuildFailed as error:
                    raise BuildFailed(
                        f"Step {step.number}/{self._total} failed: {error} ({step.text})"
                    ) from error
            self._keys[stage.number] = keys
        return self._keys[stage.number]

    def _decisive(self, step: Step) -> tuple[str, ...]:
        """All that decides what a step does to the files, besides those it starts from."""
        match step.action:
            case CopyFiles(patterns, target, source, mode):
                content = (
                    copying.digest(self._sources, patterns)
                    if source is None
                    else self._stage_keys(source)[-1]
                )
                return ("copy", *patterns, target, str(mode), content)
            case MakeFolder(path):
                return ("folder", path)
            case ProvideUv():
                return ("uv",)
            case RunCommand(argv, env, cwd):
                return (
                    "run",
                    *argv,
                    cwd,
                    *(f"{name}={value}" for name, value in sorted(env.items())),
                )
            case _:
                return ()

    def _say(self, number: int, text: str) -> None:
        shown = text if len(text) <= 300 else text[:297] + "..."
        print(f"Step {number}/{self._total}: {shown}", flush=True)
