"""The build context: the sources as a tar archive, less what `.dockerignore` names, and with a Dockerfile."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from callboard.builders.definition import ActorDefinition
from callboard.builders.process.copying import Origin
from callboard.builders.process.ignoring import IgnoreRules
from callboard.builders.process.project import IGNORE_NAME, dockerfile_text, ignore_rules

_ADDED = ".callboard.Dockerfile"
"""Where the Dockerfile is in the context when it is not one of its files."""


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile: its text, and where it is in the context if it is there."""

    text: str
    path: str | None = None


def read_recipe(definition: ActorDefinition, default: Callable[[Path], str]) -> Recipe:
    """The project's own, else what `default` makes of the project. Raises BuildFailed."""
    if definition.dockerfile is None:
        return Recipe(default(definition.context))
    text = dockerfile_text(definition.dockerfile)
    if definition.dockerfile.is_relative_to(definition.context):
        return Recipe(text, str(definition.dockerfile.relative_to(definition.context)))
    return Recipe(text)


def pack(definition: ActorDefinition, recipe: Recipe, target: BinaryIO) -> str:
    """Write the context and return the Dockerfile's name in it.

    Owners and times are left out: they are this machine's, and would keep the engine from using its cache. A
    Dockerfile that is added, or ignored, is no file of the project: the engine takes it out when it is listed in the
    context's own `.dockerignore`.
    """
    rules = ignore_rules(definition)
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, path in _entries(definition.context, rules):
            _add_entry(archive, name, path)
        if recipe.path is not None and not rules.ignores(recipe.path):
            return recipe.path
        _add(archive, _ADDED, recipe.text)
        _add(archive, IGNORE_NAME, f"{_ADDED}\n{IGNORE_NAME}\n")
    return _ADDED


def _entries(context: Path, rules: IgnoreRules) -> Iterator[tuple[str, Path]]:
    for name, path in Origin(context, rules).entries("/"):
        if name:
            yield name, path


def _add_entry(archive: tarfile.TarFile, name: str, path: Path) -> None:
    if path.is_socket():
        return
    entry = archive.gettarinfo(path, arcname=name)
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    if entry.isreg():
        with path.open("rb") as file:
            archive.addfile(entry, file)
    else:
        archive.addfile(entry)


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, BytesIO(content))
