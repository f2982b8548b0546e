"""Making stages: steps run one after the other, each tree kept for the next build that comes to the same step."""

import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from uv import find_uv_bin

from callboard.builders.driven import FILE_TOO_LARGE
from callboard.builders.process import additions, browsers, foreign, node_packages, tree
from callboard.builders.process.actions import (
    Action,
    AddUrl,
    CopyFiles,
    CopyTexts,
    Lent,
    MakeFolder,
    Plan,
    ProvideUv,
    RunCommand,
    StagePlan,
    Step,
)
from callboard.builders.process.additions import Additions
from callboard.builders.process.copying import Origin, Placement
from callboard.builders.process.errors import BuildFailed, StepTooLarge
from callboard.builders.process.ignoring import parse_ignore_rules
from callboard.builders.process.layers import Layers
from callboard.builders.process.step_keys import StepKeys
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
        additions: Additions,
        use_cache: bool,
    ) -> None:
        self._folder = folder
        self._sources = sources
        self._layers = layers
        self._workbench = workbench
        self._additions = additions
        self._use_cache = use_cache
        self._made: dict[int, StageTree] = {}
        self._keys = StepKeys(sources, additions, ())
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
        self._keys = StepKeys(self._sources, self._additions, self.named)
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
            self._perform(stage, made, step, key=self._keys.of(stage)[index + 1])
        return made

    def _kept_steps(self, stage: StagePlan) -> int:
        """How many steps an earlier build has done for us."""
        keys = self._keys.of(stage)
        for count in range(len(stage.steps), 0, -1) if self._use_cache else ():
            if isinstance(stage.steps[count - 1].action, RunCommand) and self._layers.has(
                keys[count]
            ):
                return count
        return 0

    def _make_needed(self, stage: StagePlan, kept: int) -> None:
        """Make the stages that this one goes on from or takes files from, first ones first."""
        sources = [
            one
            for step in stage.steps[kept:]
            for one in _copied_from(step.action)
            if one.number > 0
        ]
        needed = [*sources, *([stage.parent] if stage.parent and not kept else [])]
        for other in sorted(needed, key=lambda one: one.number):
            self._stage(other)

    def _start(self, stage: StagePlan, kept: int) -> tuple[StageTree, int]:
        """The tree to go on with, and how many steps are done in it."""
        root = self._folder / str(stage.number)
        started = time.monotonic()
        if kept and self._layers.restore(self._keys.of(stage)[kept], root):
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
        if stage.base.browser is not None:
            browsers.provide(root, stage.base.browser)
        if stage.number < 0:
            foreign.link_interpreter(root, stage.base)
        elif stage.base.node_packages:
            node_packages.provide(stage.base, made, layers=self._layers, workbench=self._workbench)
        foreign.provide_scripts(root, stage.base)
        return made

    def _perform(self, stage: StagePlan, made: StageTree, step: Step, *, key: str) -> None:
        match step.action:
            case CopyFiles() as copy:
                self._copy(stage, made, copy)
            case CopyTexts(texts, target, mode):
                Placement(made.root, mode).write(texts, target)
            case AddUrl(url, target, mode):
                name, file = self._additions.name_of(url), self._additions.get(step.action)
                Placement(made.root, mode).put(file, name, target)
            case MakeFolder(path):
                tree.make_directory(made.root, path)
            case ProvideUv():
                self._provide_uv(made)
            case RunCommand() as command:
                with self._lending(made, command.lent):
                    self._run_step(stage, made, step, command)
                self._keep_if_worth_it(made, key)
            case _:
                pass

    def _copy(self, stage: StagePlan, made: StageTree, copy: CopyFiles) -> None:
        origin = replace(self._origin(copy.source), excluded=parse_ignore_rules(copy.excluded))
        archives: Mapping[str, Path] = (
            additions.archives(origin, copy.patterns) if copy.unpack else {}
        )
        for archive in archives.values():
            target = copy.target.rstrip("/") or "/"
            tree.make_directory(made.root, target)
            if self._workbench.unpack(stage.base, made, archive, target) != 0:
                raise BuildFailed(f"ADD: {archive.name} cannot be unpacked.")
        others = [path for path in origin.matches(copy.patterns) if path not in archives]
        if others or not archives:
            Placement(made.root, copy.mode).copy(origin, others, copy.target)

    @contextmanager
    def _lending(self, made: StageTree, lent: Sequence[Lent]) -> Generator[None]:
        """Put in place what a step may use and does not keep. What is there already stays as it is."""
        placed: list[str] = []
        filled: dict[str, frozenset[str]] = {}
        for item in lent:
            if item.pattern is None:
                placed += tree.missing_parents(made.root, item.target)
                place = tree.make_directory(made.root, item.target)
                filled[item.target] = frozenset(os.listdir(place))
            else:
                origin = self._origin(item.source)
                placed += Placement(made.root).lend(origin, item.pattern, item.target)
        yield
        for folder, before in filled.items():
            placed += [f"{folder}/{name}" for name in tree.names(made.root, folder) - before]
        for path in reversed(placed):
            tree.remove(tree.resolve(made.root, path, follow_last=False))

    def _run_step(self, stage: StagePlan, made: StageTree, step: Step, command: RunCommand) -> None:
        started = time.monotonic()
        code = self._workbench.step(stage.base, made, command)
        if code != 0:
            kind = StepTooLarge if code == FILE_TOO_LARGE else BuildFailed
            raise kind(
                f"Step {step.number}/{self._total} failed with exit code {code}: {step.text}"
            )
        made.unkept_secs += time.monotonic() - started

    def _keep_if_worth_it(self, made: StageTree, key: str) -> None:
        """A tree that is kept has to be copied before the next step: that must cost less than what it may save."""
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

    def _origin(self, source: StagePlan | None) -> Origin:
        if source is None:
            return self._sources
        if source.number >= 0:
            return Origin(self._stage(source).root, has_system=True)
        if source.number not in self._made:
            self._made[source.number] = self._fresh(source, self._folder / f"image{source.number}")
        return Origin(self._made[source.number].root, has_system=True)

    def _say(self, number: int, text: str) -> None:
        shown = text if len(text) <= 300 else text[:297] + "..."
        print(f"Step {number}/{self._total}: {shown}", flush=True)


def _copied_from(action: Action) -> list[StagePlan]:
    match action:
        case CopyFiles(source=StagePlan() as source):
            return [source]
        case RunCommand(lent=lent):
            return [item.source for item in lent if item.source is not None]
        case _:
            return []
