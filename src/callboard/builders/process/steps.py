"""Running a build step: a program of the host or of the Actor, always behind the sandbox.

Nothing an Actor brings is run any other way, except where the operator allowed Actors to run unprotected. Steps see
their stage's own folders, the tools, and the registries' files; not the server, not other builds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from callboard.builders.process import tree
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.root_commands import root_command
from callboard.executors.base import Mount
from callboard.executors.launcher.runners import BUBBLEWRAP
from callboard.executors.launcher.sandbox import (
    HOME,
    JOB_UID,
    Sandbox,
    SystemFolders,
    sandbox_command,
    write_etc,
)
from callboard.executors.launcher.surroundings import Surroundings

_HOSTNAME = "build"
_Opened: TypeAlias = tuple[tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True)
class StepCommand:
    """A program to run. `home` and `tmp` are host folders it may write to."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    home: Path
    tmp: Path
    mounts: tuple[Mount, ...]
    system: SystemFolders | None = None
    """With `var`, the step is root of its stage."""


class StepRunner:
    """Runs steps one after the other. `folder` is the runner's own, for what the sandbox needs.

    `surroundings` is what the launcher gave the driver, None when it was started by hand.
    """

    def __init__(self, folder: Path, surroundings: Surroundings | None) -> None:
        self._etc = folder / "etc"
        self._surroundings = surroundings or _own_surroundings(folder / "own")
        shutil.copytree(self._surroundings.etc, self._etc)
        self._add_image_user()

    @property
    def etc(self) -> Path:
        """The sandbox's own part of `/etc`."""
        return self._etc

    @property
    def is_sandboxed(self) -> bool:
        """Whether the best of sandboxes is in force."""
        return self._surroundings.filesystem == BUBBLEWRAP

    def run(self, command: StepCommand, *, quiet: bool = False) -> int:
        """Run to the end and return the exit code. Output goes to the build log, unless `quiet`."""
        sys.stdout.flush()
        try:
            return self._run(command, quiet=quiet)
        except FileNotFoundError as error:
            raise BuildFailed(
                f"Build steps need a sandbox, which this machine lacks: {error}."
            ) from error

    def _run(self, command: StepCommand, *, quiet: bool) -> int:
        if self._surroundings.filesystem == "none":
            return _run_unprotected(command, quiet=quiet)
        as_root = command.system is not None and command.system.var is not None
        opened = self._opened_as_root(command) if as_root else self._opened(command)
        with opened as (argv, descriptors):
            return _exit_code(argv, {}, "/", quiet=quiet, pass_fds=descriptors)

    def _opened(self, command: StepCommand) -> AbstractContextManager[_Opened]:
        return sandbox_command(self._box(command)).opened()

    def _opened_as_root(self, command: StepCommand) -> AbstractContextManager[_Opened]:
        """The sandbox leaves its program the right to map users; the step itself is started without."""
        step = {"argv": command.argv, "env": {"HOME": HOME, **command.env}, "cwd": command.cwd}
        outer = sandbox_command(self._box(replace(command, env={}, cwd="/")))
        return root_command(outer, json.dumps(step).encode())

    def _box(self, command: StepCommand) -> Sandbox:
        return Sandbox(
            argv=command.argv,
            env={"HOME": HOME, **command.env},
            cwd=command.cwd,
            hostname=self._surroundings.hostname,
            home=command.home,
            tmp=command.tmp,
            etc=self._etc,
            mounts=command.mounts,
            resolv_conf=self._surroundings.resolv_conf,
            system=command.system,
            rung=self._surroundings.filesystem,
        )

    def _add_image_user(self) -> None:
        """Dockerfiles written for the usual images name `myuser`, in `chown` above all."""
        uid, gid = (JOB_UID, JOB_UID) if os.geteuid() == 0 else (os.getuid(), os.getgid())
        with (self._etc / "passwd").open("a") as file:
            file.write(f"myuser:x:{uid}:{gid}::{HOME}:/bin/sh\n")
        with (self._etc / "group").open("a") as file:
            file.write(f"myuser:x:{gid}:\n")


def _run_unprotected(command: StepCommand, *, quiet: bool) -> int:
    """Without a sandbox there are no mounts: what is named by a mount's target is named by its source instead."""
    named = {
        HOME: str(command.home),
        **{mount.target: str(mount.source) for mount in command.mounts},
    }
    longest_first = "|".join(re.escape(target) for target in sorted(named, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w./-])(?:{longest_first})(?![\w.-])")

    def on_host(text: str) -> str:
        return pattern.sub(lambda match: named[match.group()], text)

    env = {"HOME": HOME, **command.env}
    argv = tuple(on_host(word) for word in command.argv)
    return _exit_code(
        argv,
        {name: on_host(value) for name, value in env.items()},
        on_host(command.cwd),
        quiet=quiet,
    )


def _exit_code(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    cwd: str,
    *,
    quiet: bool,
    pass_fds: tuple[int, ...] = (),
) -> int:
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=pass_fds,
        check=False,
    )
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _own_surroundings(etc: Path) -> Surroundings:
    """For a driver that is started by hand and shares the network of the machine."""
    etc.mkdir(parents=True)
    write_etc(etc, hostname=_HOSTNAME, hosts={})
    return Surroundings(etc, None, _HOSTNAME, "bubblewrap")


def private_folder(path: Path) -> Path:
    """An empty folder that belongs to the steps."""
    path.mkdir(parents=True)
    tree.give(path)
    return path
