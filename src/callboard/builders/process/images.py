"""The finished Actor: which command starts it, and which folders of the last stage it sees."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from callboard.builders.base import Image, ImageMount
from callboard.builders.process import python_env, system, tree
from callboard.builders.process.actions import StagePlan
from callboard.builders.process.bases import Base
from callboard.builders.process.toolbox import interpreter_mounts
from callboard.builders.process.views import Part, can_be_mounted, parts
from callboard.executors.base import MountMode
from callboard.executors.launcher.sandbox import HOME

ROOT_NAME = "root"
"""The last stage's tree, in the build's folder."""
_NO_PACKAGES = "no-packages"
"""An empty folder beside it."""
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_HOME_LEFT_OUT = frozenset({".npm"})


@dataclass(frozen=True)
class Finished:
    """The last stage, made. `named` are folders the Dockerfile speaks of, which are shown even when empty."""

    stage: StagePlan
    root: Path
    named: frozenset[str]

    @property
    def base(self) -> Base:
        return self.stage.base


def image_of(finished: Finished, start: Sequence[str]) -> Image:
    """Describe how to start the Actor. Every source folder is a real one: no link leads out of the build."""
    cwd = real_path(finished.root, finished.stage.state.cwd)
    tree.make_directory(finished.root, cwd)
    used = _environment_in_use(finished)
    argv = _argv(finished, start, used=used)
    if not used and not finished.base.implied and argv[0] == start[0]:
        _add_python_name(finished)
    mounts = (
        *(
            ImageMount(prefix, prefix, MountMode.READ_ONLY)
            for prefix in interpreter_mounts(finished.base.interpreters)
        ),
        *_hidden_packages(finished),
        *_system_mounts(finished.root),
        *_mounts(
            finished,
            cwd,
            with_environment=used or (argv[0] == start[0] and not finished.base.implied),
        ),
        *_home_mounts(finished.root),
    )
    return Image(argv=argv, env=dict(finished.stage.state.env), cwd=cwd, mounts=mounts)


def real_path(root: Path, path: str) -> str:
    """The stage's path with its links followed."""
    return "/" + str(tree.resolve(root, path).relative_to(root)).removeprefix(".")


def _environment_in_use(finished: Finished) -> bool:
    python = finished.base.python
    return python is not None and python_env.in_use(
        finished.root, python, finished.base.environment_dir
    )


def _argv(finished: Finished, start: Sequence[str], *, used: bool) -> tuple[str, ...]:
    """The start command, with `python` made the very interpreter: nothing has to be looked up at each start."""
    base = finished.base
    if base.python is None or not _PYTHON.fullmatch(start[0]):
        return tuple(start)
    if used and python_env.exists(finished.root, base.environment_dir):
        return (f"{base.environment_dir}/bin/python", *start[1:])
    return (str(base.python.executable), *start[1:])


def _add_python_name(finished: Finished) -> None:
    """Scripts call `python`, which some systems only have as `python3`."""
    python = finished.base.python
    if python is None or (python.executable.parent / "python").exists():
        return
    folder = tree.make_directory(finished.root, "/usr/local/bin")
    for name in ("python", "python3"):
        if not os.path.lexists(folder / name):
            (folder / name).symlink_to(python.executable)


def _hidden_packages(finished: Finished) -> Iterator[ImageMount]:
    """Nothing in the place of what was installed for the host's interpreter, which is none of the Actor's.

    It might lean on it unawares, and it would pay for it: hooks of such packages can double the time of each start.
    """
    python = finished.base.python
    if python is None or python.in_system:
        return
    packages = python.prefix / "lib" / f"python{python.shown}" / "site-packages"
    if packages.is_dir():
        (finished.root.parent / _NO_PACKAGES).mkdir(exist_ok=True)
        yield ImageMount(_NO_PACKAGES, str(packages), MountMode.READ_ONLY)


def _system_mounts(root: Path) -> Iterator[ImageMount]:
    """What the Actor has of its own in folders of the host's."""
    for path in system.layer_folders(root):
        yield ImageMount(_source(path), path, MountMode.LAYER)


def _mounts(finished: Finished, cwd: str, *, with_environment: bool) -> Iterator[ImageMount]:
    base, root = finished.base, finished.root
    own_cwd = can_be_mounted(cwd)
    around = [*interpreter_mounts(base.interpreters), *([cwd] if own_cwd else [])]
    layered = bool(system.layer_folders(root))
    for part in parts(root, around=around):
        if layered and part.path.startswith("/etc/"):
            continue
        if part.path == base.environment_dir and python_env.exists(root, part.path):
            if with_environment:
                yield ImageMount(_source(part.path), part.path, MountMode.READ_ONLY)
        elif part.path in finished.named or _holds_something(part):
            yield ImageMount(_source(part.path), part.path, _mode(part))
    if own_cwd:
        yield ImageMount(_source(cwd), cwd, MountMode.OVERLAY)


def _home_mounts(root: Path) -> Iterator[ImageMount]:
    """What steps left in their home, such as downloaded browsers. The home itself is each run's own."""
    for entry in sorted(os.scandir(tree.own_folder(root, HOME)), key=lambda item: item.name):
        part = Part(
            posixpath.join(HOME, entry.name), Path(entry.path), entry.is_dir(follow_symlinks=False)
        )
        if part.is_folder and entry.name not in _HOME_LEFT_OUT and _holds_something(part):
            yield ImageMount(_source(part.path), part.path, MountMode.OVERLAY)


def _source(path: str) -> str:
    return ROOT_NAME + path


def _mode(part: Part) -> MountMode:
    return MountMode.OVERLAY if part.is_folder else MountMode.READ_ONLY


def _holds_something(part: Part) -> bool:
    return not part.is_folder or any(os.scandir(part.place))
