"""The build context: the sources as a tar archive, less what `.dockerignore` names, and with a Dockerfile."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from callboard.builders.definition import ActorDefinition
from callboard.builders.process.copying import Origin
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.ignoring import IgnoreRules, parse_ignore_rules

_MAX_DOCKERFILE_BYTES = 512 * 1024
_ADDED = ".callboard.Dockerfile"
"""Where the Dockerfile is in the context when it is not one of its files."""
_IGNORE = ".dockerignore"


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile: its text, and where it is in the context if it is there."""

    text: str
    path: str | None = None


def read_recipe(definition: ActorDefinition, default: Callable[[Path], str]) -> Recipe:
    """The project's own, else what `default` makes of the project. Raises BuildFailed."""
    if definition.dockerfile is None:
        return Recipe(default(definition.context))
    text = _text(definition.dockerfile)
    if definition.dockerfile.is_relative_to(definition.context):
        return Recipe(text, str(definition.dockerfile.relative_to(definition.context)))
    return Recipe(text)


def ignore_rules(definition: ActorDefinition) -> IgnoreRules:
    """Of the file beside the Dockerfile that is named after it, else of the context's own."""
    candidates = [definition.context / _IGNORE]
    if definition.dockerfile is not None:
        own = definition.dockerfile.name + _IGNORE
        candidates.insert(0, definition.dockerfile.with_name(own))
    for path in candidates:
        if path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8", errors="replace")
            return parse_ignore_rules(text.splitlines())
    return IgnoreRules()


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
        _add(archive, _IGNORE, f"{_ADDED}\n{_IGNORE}\n")
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


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_DOCKERFILE_BYTES + 1)
    if len(content) > _MAX_DOCKERFILE_BYTES:
        raise BuildFailed("The Dockerfile is too large.")
    return content.decode("utf-8-sig", errors="replace")
