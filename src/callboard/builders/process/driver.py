"""The build itself: from sources to an image and what the sources say about their Actor.

Runs in a process of its own, started by the executor. What it prints is the build log.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from callboard.builders.base import WORK_NAME, BuildResult, BuildSpec
from callboard.builders.definition import ActorDefinition
from callboard.builders.fetching.downloading import download_in
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.fetch import Sources
from callboard.builders.fetching.limits import Limits
from callboard.builders.process import browsers, python_env, system, tree
from callboard.builders.process.actions import Plan, RunCommand, StagePlan
from callboard.builders.process.additions import Additions
from callboard.builders.process.copying import Origin
from callboard.builders.process.defaults import default_dockerfile, guessed_start
from callboard.builders.process.dockerfile import parse
from callboard.builders.process.downloads import Downloads
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.fetch_sandbox import ProcessSandbox
from callboard.builders.process.images import ROOT_NAME, Finished, image_of
from callboard.builders.process.layers import Layers
from callboard.builders.process.plan import make_plan, start_command
from callboard.builders.process.project import (
    build_arguments,
    checked_definition,
    dockerfile_text,
    ignore_rules,
    read_sources,
    say,
    surroundings,
)
from callboard.builders.process.registries import read_registries
from callboard.builders.process.skeletons import Skeletons
from callboard.builders.process.stages import StageMaker
from callboard.builders.process.steps import StepRunner
from callboard.builders.process.system import HostSystem
from callboard.builders.process.toolbox import fill_toolbox
from callboard.builders.process.views import can_be_mounted
from callboard.builders.process.workbench import StageTree, Workbench
from callboard.builders.removing import remove_tree


def build(spec: BuildSpec, *, check_schema: Callable[[object], None]) -> BuildResult:
    """Build the sources that `spec` names. Raises `BuildFailed`. What an interrupted attempt left is made anew.

    `check_schema` raises `ApiError` for an input schema that breaks the rules.
    """
    started = time.monotonic()
    folder = Path(spec.build_dir)
    for name in (WORK_NAME, ROOT_NAME):
        remove_tree(folder / name)
    work = folder / WORK_NAME
    work.mkdir()
    downloads = Downloads(_caches(spec) / "downloads", work / "downloads")
    try:
        result = _build(spec, downloads, check_schema)
    finally:
        downloads.close()
        remove_tree(work)
    size = result.image_size_bytes / 1_000_000
    say(f"Built in {time.monotonic() - started:.1f} s, {size:.1f} MB.")
    return result


def _build(
    spec: BuildSpec, downloads: Downloads, check_schema: Callable[[object], None]
) -> BuildResult:
    folder = Path(spec.build_dir)
    say(f"Building {spec.actor_name} {spec.build_number}.")
    workbench = _workbench(folder / WORK_NAME, downloads, caches=_caches(spec))
    sandbox = ProcessSandbox(workbench.runner, workbench.toolbox.registries)
    sources = read_sources(spec, workbench.folder, sandbox)
    definition = checked_definition(sources, check_schema)
    plan = _plan(definition, sources, build_arguments(spec, sources, definition))
    layers = Layers(_caches(spec) / "layers", limit_bytes=spec.disk_bytes)
    layers.prune()  # first, as a build may be killed at any time
    maker = StageMaker(
        folder=workbench.folder / "stages",
        sources=Origin(definition.context, ignore_rules(definition)),
        layers=layers,
        workbench=workbench,
        additions=_additions(workbench, sandbox),
        use_cache=spec.use_cache,
    )
    made = maker.make(plan)
    stage = plan.stages[-1]
    workbench.complete(stage.base, made)
    stage.base = browsers.complete(stage.base, made.root, stage.state.env, stage.state.cwd)
    system.forget_packages(made.root)
    start = _start(stage, definition)
    _compile(workbench, stage, made)
    made.root.rename(folder / ROOT_NAME)
    finished = Finished(stage, folder / ROOT_NAME, frozenset(maker.named))
    if stage.base.python is not None:
        python_env.remove_pip(finished.root, stage.base.python, stage.base.environment_dir)
    image = image_of(finished, start)
    say(f"Start command: {' '.join(start)}")
    return BuildResult(
        image=image,
        image_size_bytes=tree.size_bytes(finished.root),
        actor_definition=definition.content,
        input_schema=definition.input_schema,
        readme=definition.readme,
        changelog=definition.changelog,
    )


def _plan(definition: ActorDefinition, sources: Sources, arguments: Mapping[str, str]) -> Plan:
    if definition.dockerfile is None:
        default = default_dockerfile(definition.context)
        say(f"The sources have no Dockerfile; building for {default.reason}.")
        return make_plan(parse(default.dockerfile), arguments)
    say(f"Using {os.path.relpath(definition.dockerfile, sources.actor.resolve())}.")
    return make_plan(parse(dockerfile_text(definition.dockerfile)), arguments)


def _workbench(work: Path, downloads: Downloads, *, caches: Path) -> Workbench:
    runner = StepRunner(work / "runner", surroundings())
    return Workbench(
        folder=work,
        runner=runner,
        toolbox=fill_toolbox(work, read_registries(os.environ)),
        downloads=downloads,
        system=HostSystem(work / "system", Skeletons(caches / "system", runner.etc)),
    )


def _additions(workbench: Workbench, sandbox: ProcessSandbox) -> Additions:
    def download(url: str, folder: Path) -> Path:
        try:
            return download_in(sandbox, url, folder, limit_bytes=Limits().packed_bytes)
        except FetchFailed as error:
            raise BuildFailed(str(error)) from error

    return Additions(workbench.folder / "added", download)


def _caches(spec: BuildSpec) -> Path:
    """Builds that run unprotected have caches of their own: they could have put anything into them."""
    ours = surroundings()
    unprotected = ours is not None and ours.filesystem == "none"
    return Path(spec.cache_dir) / ("unprotected" if unprotected else "process")


def _start(stage: StagePlan, definition: ActorDefinition) -> tuple[str, ...]:
    start = tuple(start_command(stage.state))
    if start:
        return start
    guessed = guessed_start(definition.context, node=stage.base.node is not None)
    print(
        f"The Dockerfile has no CMD or ENTRYPOINT; the Actor is started by {' '.join(guessed)}.",
        flush=True,
    )
    return guessed


def _compile(workbench: Workbench, stage: StagePlan, made: StageTree) -> None:
    """Byte-compile the Actor's own files. One that does not compile shows when the Actor is run."""
    python, cwd = stage.base.python, stage.state.cwd
    if python is None or stage.base.implied or not can_be_mounted(cwd):
        return
    argv = (str(python.executable), "-I", "-S", "-m", "compileall", "-q", "-x", "node_modules", cwd)
    workbench.run(stage.base, made.root, RunCommand(argv, {}, "/"), quiet=True)
