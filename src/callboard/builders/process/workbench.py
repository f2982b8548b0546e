"""Commands run in the tree of a stage, with the tools they need, and never in files that another tree shares."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from callboard.builders.base import SYSTEM_PATH
from callboard.builders.process import browsers, overlays, python_env, system, tree
from callboard.builders.process.actions import RunCommand
from callboard.builders.process.bases import Base
from callboard.builders.process.downloads import Downloads, Requirements, fetch_script
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.interpreters import Interpreter, own_python
from callboard.builders.process.steps import StepCommand, StepRunner, private_folder
from callboard.builders.process.system import HostSystem
from callboard.builders.process.toolbox import UV, Toolbox, interpreter_mounts, search_path
from callboard.builders.process.views import parts
from callboard.executors.base import Mount, MountMode
from callboard.executors.launcher.sandbox import HOME, SystemFolders

_PYTHON_TOOL = re.compile(r"python|pip|poetry|\buvx?\b")


@dataclass
class StageTree:
    """The files of a stage. When `shared`, some are also another tree's, and nobody may write into them."""

    root: Path
    shared: bool = False
    clone_secs: float = 0
    """How long it took to link the tree, when that was done last."""
    unkept_secs: float = 0
    """What the steps have taken since the tree was kept last."""


@dataclass(frozen=True)
class Workbench:
    """Runs the steps of one build. `folder` is its own."""

    folder: Path
    runner: StepRunner
    toolbox: Toolbox
    downloads: Downloads
    system: HostSystem

    def step(self, base: Base, made: StageTree, command: RunCommand) -> int:
        """Run a step of the Dockerfile. On exit code 0 the tree is as the step left it."""
        command = browsers.without_downloads(base, command)
        wants_python = not base.implied or _PYTHON_TOOL.search(" ".join(command.argv)) is not None
        if wants_python and base.python is not None:
            self._fetch(base.python, made, command)
            if not python_env.exists(made.root, base.environment_dir):
                self._make_environment(base.python, base, made)
        tree.make_directory(made.root, f"{HOME}/.npm")
        if command.as_root and self._can_be_root() and system.concerns(command.argv):
            return self._as_root(base, made, command)
        return self._isolated(base, made, command)

    def run(
        self,
        base: Base,
        root: Path,
        command: RunCommand,
        *,
        quiet: bool = False,
        caches: Path | None = None,
        mounts: tuple[Mount, ...] = (),
    ) -> int:
        """Run a command in a tree as it is, and return its exit code. Only for one that writes no file in place."""
        with self.system.shown(root) as shown:
            step = self._command(base, root, command, shown, caches=caches)
            return self.runner.run(replace(step, mounts=(*step.mounts, *mounts)), quiet=quiet)

    def unpack(self, base: Base, made: StageTree, archive: Path, target: str) -> int:
        """Unpack a tar archive at a folder of the stage, and return the exit code."""
        place = f"/run/callboard/archive/{archive.name}"
        python = own_python()
        argv = (str(python.executable), "-I", "-S", "-m", "tarfile", "-e", place, target)
        mounts = (Mount(archive, place), *interpreter_mounts((python,)).values())
        return self._isolated(base, made, RunCommand(argv, {}, "/"), mounts=mounts)

    def _command(
        self,
        base: Base,
        root: Path,
        command: RunCommand,
        shown: SystemFolders | None,
        *,
        caches: Path | None = None,
    ) -> StepCommand:
        as_root = shown is not None and shown.var is not None
        env = {**self.toolbox.environment(base.python, base.environment_dir), **command.env}
        env["PATH"] = search_path(env.get("PATH", base.env["PATH"]), as_root=as_root)
        hosts = interpreter_mounts((*base.interpreters, *((own_python(),) if as_root else ())))
        mounts = (
            *_stage_mounts(root, {*hosts, *self.toolbox.targets}, shown),
            *hosts.values(),
            *self.toolbox.mounts(caches or self.downloads.view()),
        )
        return StepCommand(
            command.argv,
            env,
            command.cwd,
            home=tree.own_folder(root, HOME),
            tmp=tree.own_folder(root, "/tmp"),
            mounts=mounts,
            system=shown,
        )

    def complete(self, base: Base, made: StageTree) -> None:
        """After the last step: packages copied from another stage need an environment to be found."""
        python = base.python
        if python is not None and python_env.lacks_environment(
            made.root, python, base.environment_dir
        ):
            self._make_environment(python, base, made)

    def install_node_packages(self, base: Base, made: StageTree, packages: tuple[str, ...]) -> bool:
        """Put some of what the image brings along into the work directory of a fresh tree."""
        manifest = tree.resolve(made.root, f"{base.work_dir}/package.json")
        if not manifest.exists():
            tree.write_file(manifest, b'{"name": "actor", "version": "0.0.1", "private": true}\n')
        options = ("--omit=dev", "--omit=optional", "--ignore-scripts")
        argv = ("npm", "install", *options, *packages)
        # Nothing of the Actor is in the tree and no package's script runs: this may fill the shared cache.
        with self.downloads.to_fill() as caches:
            return (
                self.run(base, made.root, RunCommand(argv, {}, base.work_dir), caches=caches) == 0
            )

    def _can_be_root(self) -> bool:
        return self.runner.is_sandboxed and system.can_be_changed(self.folder)

    def _as_root(self, base: Base, made: StageTree, command: RunCommand) -> int:
        """As root of the stage, who may change the system. Everything is written to overlays first."""
        for folder in ("/opt", "/srv", "/root"):
            tree.make_directory(made.root, folder)
        command = replace(command, env={"DEBIAN_FRONTEND": "noninteractive", **command.env})
        layer = self.folder / f"layer-{uuid4().hex}"
        with (
            overlays.mounted(made.root, layer) as root,
            self.system.changing(made.root, layer) as shown,
        ):
            code = self.runner.run(self._command(base, root, command, shown))
        if code == 0:
            system.give_to_actor(layer / "upper")
            overlays.take_over(layer / "upper", made.root)
            self.system.take_over(layer, made.root)
        return code

    def _isolated(
        self, base: Base, made: StageTree, command: RunCommand, *, mounts: tuple[Mount, ...] = ()
    ) -> int:
        """A step may write into any file of its stage, so none may be another tree's meanwhile.

        npm renames folders by the hundred, which overlays can only do by copying: for it, copy all at once.
        """
        if made.shared and base.node is None and overlays.available(self.folder):
            layer = self.folder / f"layer-{uuid4().hex}"
            with overlays.mounted(made.root, layer) as root:
                code = self.run(base, root, command, mounts=mounts)
            if code == 0:
                overlays.take_over(layer / "upper", made.root)
            return code
        if made.shared:
            own = made.root.with_name(made.root.name + "-own")
            tree.clone(made.root, own, link=False)
            tree.remove(made.root)
            own.rename(made.root)
            made.shared = False
        return self.run(base, made.root, command, mounts=mounts)

    def _make_environment(self, python: Interpreter, base: Base, made: StageTree) -> None:
        argv = python_env.creation_command(python, base.environment_dir)
        code = self._isolated(base, made, RunCommand(argv, {}, "/"))
        if code != 0:
            raise BuildFailed(f"The Python environment could not be made, exit code {code}.")
        python_env.add_pip(made.root, python, base.environment_dir)

    def _fetch(self, python: Interpreter, made: StageTree, command: RunCommand) -> None:
        """Have ready in the shared cache what the step is going to install. If not all can be had, so be it."""
        requirements = Requirements(command.argv)
        if not requirements:
            return
        with self.downloads.to_fill() as caches:
            if caches is None:
                return
            folder = private_folder(self.folder / f"fetch-{uuid4().hex}")
            wanted, home, tmp = (
                private_folder(folder / name) for name in ("wanted", "home", "tmp")
            )
            files = requirements.copy_files(made.root, command.cwd, wanted)
            env = {
                **self.toolbox.environment(None, ""),
                "PATH": SYSTEM_PATH,
                "UV_COMPILE_BYTECODE": "0",
            }
            mounts = (
                *interpreter_mounts((python,)).values(),
                *self.toolbox.mounts(caches),
                Mount(wanted, "/run/callboard/wanted"),
            )
            script = fetch_script(UV, python, requirements.names, files)
            step = StepCommand(
                ("/bin/sh", "-c", script), env, "/tmp", home=home, tmp=tmp, mounts=mounts
            )
            self.runner.run(step, quiet=True)


def _stage_mounts(root: Path, around: Iterable[str], shown: SystemFolders | None) -> list[Mount]:
    return [
        Mount(part.place, part.path, MountMode.READ_WRITE)
        for part in parts(root, around=around, system=shown)
    ]
