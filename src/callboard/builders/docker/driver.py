"""The build itself: sources to a context, a context to an image, and what the sources say about their Actor.

Runs in a process of its own, started by the executor. What it prints is the build log. An engine whose client is
gone, as when the build is aborted or timed out, stops building.
"""

import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from callboard.builders.base import WORK_NAME, BuildResult, BuildSpec
from callboard.builders.definition import ActorDefinition
from callboard.builders.docker.context import Recipe, pack, read_recipe
from callboard.builders.docker.defaults import default_text
from callboard.builders.docker.finishing import finish
from callboard.builders.docker.messages import BuildMessages
from callboard.builders.docker.place import Place
from callboard.builders.docker.turns import making_images
from callboard.builders.fetching.fetch import Sources
from callboard.builders.process.errors import BuildFailed
from callboard.builders.process.fetch_sandbox import ProcessSandbox
from callboard.builders.process.project import (
    build_arguments,
    checked_definition,
    read_sources,
    say,
    surroundings,
)
from callboard.builders.process.registries import proxies, read_registries
from callboard.builders.process.steps import StepRunner
from callboard.builders.removing import remove_tree
from callboard.executors.docker.container import INSTANCE_LABEL, MIB
from callboard.executors.docker.engine import Engine

BUILD_LABEL = "callboard.build"
_CHUNK_BYTES = 1024 * 1024
_ARGUMENTS = re.compile(r"^\s*ARG\s((?:\\\r?\n|.)*)", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r"(?:^|\s)(\w+)(?==|\s|$)")


async def build(
    spec: BuildSpec, place: Place, *, check_schema: Callable[[object], None]
) -> BuildResult:
    """Build the sources that `spec` names. Raises BuildFailed, EngineGone, EngineRefused.

    `check_schema` raises ApiError for an input schema that breaks the rules.
    """
    started = time.monotonic()
    work = Path(spec.build_dir) / WORK_NAME
    remove_tree(work)
    work.mkdir()
    try:
        result = await _build(spec, place, work, check_schema)
    finally:
        remove_tree(work)
    size = result.image_size_bytes / 1_000_000
    say(f"Built in {time.monotonic() - started:.1f} s, {size:.1f} MB.")
    return result


async def _build(
    spec: BuildSpec, place: Place, work: Path, check_schema: Callable[[object], None]
) -> BuildResult:
    say(f"Building {spec.actor_name} {spec.build_number}.")
    runner = StepRunner(work / "runner", surroundings())
    sources = read_sources(spec, work, ProcessSandbox(runner, read_registries(os.environ)))
    definition = checked_definition(sources, check_schema)
    recipe = read_recipe(definition, partial(default_text, say=say))
    if definition.dockerfile is not None:
        say(f"Using {_relative(definition.dockerfile, sources.actor)}.")
    with making_images(Path(spec.build_dir).parent):
        async with Engine(place.url) as engine:
            image_id = await _make_image(spec, place, engine, definition, recipe, sources, work)
            tag, name = place.tag(spec.build_id), place.container(spec.build_id)
            finished = await finish(engine, image_id, tag, definition, name=name, say=say)
    say(f"Start command: {' '.join(finished.image.argv)}")
    return BuildResult(
        image=finished.image,
        image_size_bytes=finished.size_bytes,
        actor_definition=definition.content,
        input_schema=definition.input_schema,
        readme=definition.readme,
        changelog=definition.changelog,
    )


async def _make_image(
    spec: BuildSpec,
    place: Place,
    engine: Engine,
    definition: ActorDefinition,
    recipe: Recipe,
    sources: Sources,
    work: Path,
) -> str:
    """The image's id."""
    messages = BuildMessages(say)
    with tempfile.TemporaryFile(dir=work) as context:
        name = pack(definition, recipe, context)
        context.seek(0)
        given = build_arguments(spec, sources, definition)
        params = _parameters(spec, place, name, _arguments(recipe.text, given))
        async with engine.answer("POST", "/build", params=params, body=_chunks(context)) as answer:
            async for line in engine.lines(answer):
                messages.take(line)
    messages.finish()
    if messages.error is not None or messages.image_id is None:
        raise BuildFailed(messages.error or "The engine ended the build without a reason.")
    return messages.image_id


def _parameters(
    spec: BuildSpec, place: Place, dockerfile: str, arguments: Mapping[str, str]
) -> dict[str, str]:
    memory = str(spec.memory_mbytes * MIB)
    labels = {INSTANCE_LABEL: place.instance, BUILD_LABEL: spec.build_id}
    return {
        "t": place.tag(spec.build_id),
        "dockerfile": dockerfile,
        "nocache": "0" if spec.use_cache else "1",
        "rm": "1",
        "forcerm": "1",
        "memory": memory,
        "memswap": memory,
        "networkmode": place.network,
        "buildargs": msgspec.json.encode(arguments).decode(),
        "labels": msgspec.json.encode(labels).decode(),
    }


def _arguments(dockerfile: str, given: Mapping[str, str]) -> dict[str, str]:
    """Those that the Dockerfile declares, and the way out of this network, which steps have undeclared."""
    declared = {name for line in _ARGUMENTS.findall(dockerfile) for name in _NAME.findall(line)}
    return proxies(os.environ) | {name: value for name, value in given.items() if name in declared}


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _relative(path: Path, start: Path) -> str:
    return os.path.relpath(path.resolve(), start.resolve())
