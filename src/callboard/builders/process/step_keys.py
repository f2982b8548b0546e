"""The identity of each step: all that decides what it does to the files, so that no step is done twice.

What a step may take from the host's system is part of it: other packages there make other steps.
"""

import os
from collections.abc import Sequence
from functools import cache

from callboard.builders.process import copying, system
from callboard.builders.process.actions import (
    AddUrl,
    CopyFiles,
    CopyTexts,
    Lent,
    MakeFolder,
    ProvideUv,
    RunCommand,
    StagePlan,
    Step,
)
from callboard.builders.process.additions import Additions
from callboard.builders.process.copying import Origin
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.layers import identity


class StepKeys:
    """Of the steps of one build. `named` are the folders that each stage starts with."""

    def __init__(self, sources: Origin, additions: Additions, named: Sequence[str]) -> None:
        self._sources = sources
        self._additions = additions
        self._named = named
        self._known: dict[int, list[str]] = {}

    def of(self, stage: StagePlan) -> list[str]:
        """Of the stage's start, and then of each step in it. Raises `BuildFailed` for files that are not there."""
        if stage.number not in self._known:
            start = identity(stage.base.identity, *self._named)
            keys = [start if stage.parent is None else self.of(stage.parent)[-1]]
            for step in stage.steps:
                try:
                    keys.append(identity(keys[-1], *self._decisive(step)))
                except BuildFailed as error:
                    raise BuildFailed(
                        f"Step {step.number} failed: {error} ({step.text})"
                    ) from error
            self._known[stage.number] = keys
        return self._known[stage.number]

    def _decisive(self, step: Step) -> tuple[str, ...]:
        """All that decides what a step does to the files, besides those it starts from."""
        match step.action:
            case CopyFiles(patterns, target, source, mode, unpack, excluded):
                content = self._content(patterns, source)
                return ("copy", *patterns, target, f"{mode} {unpack}", *excluded, content)
            case CopyTexts(texts, target, mode):
                return ("texts", *(word for pair in texts for word in pair), target, str(mode))
            case AddUrl(url, target, mode):
                content = self._additions.digest(step.action)
                return ("add", self._additions.name_of(url), target, str(mode), content)
            case MakeFolder(path):
                return ("folder", path)
            case ProvideUv():
                return ("uv",)
            case RunCommand() as command:
                return self._decisive_of_run(command)
            case _:
                return ()

    def _decisive_of_run(self, command: RunCommand) -> tuple[str, ...]:
        on_host = command.as_root and system.may_concern(command.argv)
        return (
            f"run {command.as_root} {_host_packages() if on_host else ''}",
            *command.argv,
            command.cwd,
            *(f"{name}={value}" for name, value in sorted(command.env.items())),
            *(word for item in command.lent for word in self._decisive_of_lent(item)),
        )

    def _decisive_of_lent(self, item: Lent) -> tuple[str, ...]:
        if item.pattern is None:
            return ("folder", item.target)
        return ("lent", item.pattern, item.target, self._content((item.pattern,), item.source))

    def _content(self, patterns: tuple[str, ...], source: StagePlan | None) -> str:
        if source is None:
            return copying.digest(self._sources, patterns)
        return f"{self.of(source)[-1]} {_host_packages()}"


@cache
def _host_packages() -> str:
    """Changes when packages of the host do. Empty where there is no telling."""
    for path in ("/var/lib/dpkg/status", "/var/lib/rpm", "/usr"):
        try:
            return str(os.stat(path).st_mtime_ns)
        except OSError:
            continue
    return ""
