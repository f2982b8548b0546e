"""What every driver reads of a project before it builds: its sources, what they say, and its Dockerfile."""

import os
import posixpath
from collections.abc import Callable
from pathlib import Path

from callboard.builders.base import SOURCE_NAME, BuildSpec, SourceKind
from callboard.builders.definition import (
    ActorDefinition,
    InvalidDefinition,
    parse_object,
    read_definition,
)
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.fetch import Sources, fetch
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.fetch_sandbox import ProcessSandbox
from callboard.builders.process.ignoring import IgnoreRules, parse_ignore_rules
from callboard.core.errors import ApiError
from callboard.executors.launcher.surroundings import Surroundings

_MAX_DOCKERFILE_BYTES = 512 * 1024
IGNORE_NAME = ".dockerignore"


def say(line: str) -> None:
    """To the build log."""
    print(line, flush=True)


def surroundings() -> Surroundings | None:
    """Of this driver, when a launcher has started it."""
    try:
        return Surroundings.from_environment(os.environ)
    except KeyError:
        return None


def read_sources(spec: BuildSpec, work: Path, sandbox: ProcessSandbox) -> Sources:
    """Those that lie there already, else fetched into `work`. Raises BuildFailed."""
    if spec.source.kind is SourceKind.FILES:
        folder = Path(spec.build_dir) / SOURCE_NAME
        return Sources(folder, folder)
    try:
        return fetch(spec.source, work / "fetched", sandbox, say=say)
    except FetchFailed as error:
        raise BuildFailed(str(error)) from error


def checked_definition(sources: Sources, check_schema: Callable[[object], None]) -> ActorDefinition:
    """`check_schema` raises ApiError for an input schema that breaks the rules. Raises BuildFailed."""
    try:
        definition = read_definition(sources.actor, bounds=sources.root)
        if definition.input_schema is not None:
            check_schema(parse_object(definition.input_schema, name="The input schema"))
    except (InvalidDefinition, ApiError) as error:
        raise BuildFailed(str(error)) from error
    return definition


def build_arguments(
    spec: BuildSpec, sources: Sources, definition: ActorDefinition
) -> dict[str, str]:
    """What a Dockerfile's ARGs may be given."""
    path = posixpath.relpath(sources.actor.resolve(), definition.context.resolve())
    return {"ACTOR_PATH_IN_DOCKER_CONTEXT": "" if path == "." else path, **spec.build_args}


def dockerfile_text(path: Path) -> str:
    """Raises BuildFailed for one that is too large."""
    with path.open("rb") as file:
        content = file.read(_MAX_DOCKERFILE_BYTES + 1)
    if len(content) > _MAX_DOCKERFILE_BYTES:
        raise BuildFailed("The Dockerfile is too large.")
    return content.decode("utf-8-sig", errors="replace")


def ignore_rules(definition: ActorDefinition) -> IgnoreRules:
    """Of the file beside the Dockerfile that is named after it, else of the context's own."""
    candidates = [definition.context / IGNORE_NAME]
    if definition.dockerfile is not None:
        own = definition.dockerfile.name + IGNORE_NAME
        candidates.insert(0, definition.dockerfile.with_name(own))
    for path in candidates:
        if path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8", errors="replace")
            return parse_ignore_rules(text.splitlines())
    return IgnoreRules()
