"""What a source tree says about its Actor: `.actor/actor.json`, the schemas it refers to, README, Dockerfile.

The tree is hostile (a file named in it may be a link out of it), so every path is resolved inside the tree and read
with a size limit. An error here ends a build, so its words are for the person who pushed the sources.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

MAX_DEFINITION_BYTES = 1024 * 1024
MAX_SCHEMA_BYTES = 512_000
"""500 KiB, the contract's limit for an input schema."""
MAX_README_BYTES = 1024 * 1024

_DEFINITION_NAMES = (".actor/actor.json", "apify.json")
_INPUT_SCHEMA_NAMES = (".actor/INPUT_SCHEMA.json", "INPUT_SCHEMA.json")
_README_NAMES = (".actor/README.md", "README.md")
_CHANGELOG_NAMES = (".actor/CHANGELOG.md", "CHANGELOG.md")
_DOCKERFILE_NAMES = (".actor/Dockerfile", "Dockerfile")


class InvalidDefinition(Exception):
    """The sources describe an Actor that cannot be built. The message is for the build log."""


@dataclass(frozen=True)
class ActorDefinition:
    """What the sources say. `dockerfile` and `context` are real paths inside the tree."""

    content: dict[str, object] | None
    """The definition with schemas in place of their paths; None when the sources have none."""
    input_schema: str | None
    """As in the sources, to the byte, when it is a file."""
    readme: str | None
    changelog: str | None
    dockerfile: Path | None
    context: Path


def read_definition(root: Path, *, bounds: Path | None = None) -> ActorDefinition:
    """Read the source tree of an Actor. Raises `InvalidDefinition` in plain words.

    `bounds` is the whole that the tree is a part of, such as a repository of several Actors: the definition may name
    files anywhere in it.
    """
    tree = _Tree(root, bounds or root)
    path = tree.first(_DEFINITION_NAMES)
    content = None if path is None else tree.json_object(path, limit=MAX_DEFINITION_BYTES)
    reader = _Reader(tree, content or {}, base=root if path is None else path.parent)
    input_schema = reader.input_schema()
    filled = reader.filled()
    return ActorDefinition(
        content=None if content is None else filled,
        input_schema=input_schema,
        readme=reader.text("readme", _README_NAMES),
        changelog=reader.text("changelog", _CHANGELOG_NAMES),
        dockerfile=reader.dockerfile(),
        context=reader.context(),
    )


class _Tree:
    """Files of the source tree, never one outside its bounds."""

    def __init__(self, root: Path, bounds: Path) -> None:
        self.root = root.resolve()
        self.bounds = bounds.resolve()

    def find(self, base: Path, relative: str, *, field: str) -> Path:
        """The real path of something that `field` names relative to `base`. It may not exist."""
        try:
            path = (base / relative).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise InvalidDefinition(f"The path in {field} cannot be read: {relative!r}.") from error
        if not path.is_relative_to(self.bounds):
            raise InvalidDefinition(f"The path in {field} leads out of the sources: {relative!r}.")
        return path

    def first(self, names: Sequence[str]) -> Path | None:
        """The first of the usual places that holds a file."""
        for name in names:
            path = self.find(self.root, name, field=name)
            if path.is_file():
                return path
        return None

    def shown(self, path: Path) -> str:
        return os.path.relpath(path, self.root)

    def read(self, path: Path, *, limit: int) -> str:
        name = self.shown(path)
        if not path.is_file():
            raise InvalidDefinition(f"{name} is not in the sources.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise InvalidDefinition(f"{name} is larger than {limit} bytes.")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidDefinition(f"{name} is not UTF-8 text.") from error

    def json_object(self, path: Path, *, limit: int) -> dict[str, object]:
        return parse_object(self.read(path, limit=limit), name=self.shown(path))


def parse_object(text: str, *, name: str) -> dict[str, object]:
    """A JSON object from `text`; `InvalidDefinition` says in which file and line it is not."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidDefinition(f"{name} is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidDefinition(f"{name} must hold a JSON object.")
    return cast("dict[str, object]", value)


class _Reader:
    """Follows the references of one definition; paths in it are relative to `base`, the folder it lies in."""

    def __init__(self, tree: _Tree, content: dict[str, object], *, base: Path) -> None:
        self._tree = tree
        self._content = content
        self._base = base

    def input_schema(self) -> str | None:
        for key in ("input", "inputSchema"):
            value = self._content.get(key)
            if isinstance(value, dict):
                return json.dumps(value, ensure_ascii=False, indent=4)
            if isinstance(value, str):
                return self._tree.read(self._find(value, key), limit=MAX_SCHEMA_BYTES)
            self._refuse_other(value, key)
        path = self._tree.first(_INPUT_SCHEMA_NAMES)
        return None if path is None else self._tree.read(path, limit=MAX_SCHEMA_BYTES)

    def text(self, key: str, usual: Sequence[str]) -> str | None:
        value = self._content.get(key)
        if isinstance(value, str):
            return self._tree.read(self._find(value, key), limit=MAX_README_BYTES)
        path = self._tree.first(usual)
        return None if path is None else self._tree.read(path, limit=MAX_README_BYTES)

    def dockerfile(self) -> Path | None:
        value = self._content.get("dockerfile")
        if isinstance(value, str):
            path = self._find(value, "dockerfile")
            if not path.is_file():
                raise InvalidDefinition(
                    f"The Dockerfile {value!r} named in dockerfile is not in the sources."
                )
            return path
        return self._tree.first(_DOCKERFILE_NAMES)

    def context(self) -> Path:
        value = self._content.get("dockerContextDir")
        if not isinstance(value, str):
            return self._tree.root
        path = self._find(value, "dockerContextDir")
        if not path.is_dir():
            raise InvalidDefinition(
                f"The folder {value!r} named in dockerContextDir is not in the sources."
            )
        return path

    def filled(self) -> dict[str, object]:
        """A copy of the definition with every schema it names by path put in place."""
        filled = dict(self._content)
        for key in ("input", "inputSchema", "output", "outputSchema", "webServerSchema"):
            if key in filled:
                filled[key] = self._schema(filled[key], key)
        _check_web_server(filled.get("webServerSchema"))
        if "storages" in filled:
            filled["storages"] = self._storages(filled["storages"])
        return filled

    def _storages(self, value: object) -> dict[str, object]:
        storages = dict(_object(value, "storages"))
        for key in ("dataset", "keyValueStore", "requestQueue"):
            if key in storages:
                storages[key] = self._schema(storages[key], f"storages.{key}")
        for key in ("datasets", "keyValueStores"):
            if key in storages:
                named = _object(storages[key], f"storages.{key}")
                storages[key] = {
                    name: self._schema(item, f"storages.{key}.{name}")
                    for name, item in named.items()
                }
        return storages

    def _schema(self, value: object, field: str) -> object:
        if isinstance(value, str):
            return self._tree.json_object(self._find(value, field), limit=MAX_SCHEMA_BYTES)
        self._refuse_other(value, field)
        return value

    def _find(self, relative: str, field: str) -> Path:
        return self._tree.find(self._base, relative, field=field)

    @staticmethod
    def _refuse_other(value: object, field: str) -> None:
        if value is not None and not isinstance(value, dict):
            raise InvalidDefinition(f"{field} must be a path or an object.")


def _check_web_server(schema: object) -> None:
    """It is an OpenAPI document of version 3, or there is none."""
    if schema is None:
        return
    content = _object(schema, "webServerSchema")
    if not str(content.get("openapi")).startswith("3."):
        raise InvalidDefinition(
            'webServerSchema must be an OpenAPI document with "openapi": "3....".'
        )
    _object(content.get("info"), "webServerSchema.info")
    if not any(isinstance(content.get(part), dict) for part in ("paths", "components", "webhooks")):
        raise InvalidDefinition("webServerSchema must be an OpenAPI document, with paths.")


def _object(value: object, field: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidDefinition(f"{field} must be an object.")
    return cast("dict[str, object]", value)
