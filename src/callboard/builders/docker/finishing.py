"""From the image an engine has made to an Actor: how it is started, and as whom, which is never root."""

import io
import posixpath
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from callboard.builders.base import SYSTEM_PATH, Image
from callboard.builders.definition import ActorDefinition
from callboard.builders.docker.users import ROOT_HOME, ImageUser, image_user, unprivileged
from callboard.builders.process.defaults import guessed_start
from callboard.executors.docker.archives import packed
from callboard.executors.docker.container import REMOVED_WHOLE
from callboard.executors.docker.engine import Engine, EngineRefused, path_of

_MAX_LIST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Finished:
    image: Image
    size_bytes: int


async def finish(
    engine: Engine,
    image_id: str,
    tag: str,
    definition: ActorDefinition,
    *,
    name: str,
    say: Callable[[str], None],
) -> Finished:
    """Look at the image, and put an unprivileged user in root's place. Raises BuildFailed and the engine's errors.

    `name` is that of the container it is looked at in.
    """
    seen = await engine.ask("GET", path_of("images", image_id, "json"))
    config: Mapping[str, Any] = seen["Config"]
    cwd = config.get("WorkingDir") or "/"
    container = await _container(engine, image_id, name)
    try:
        user = image_user(
            config.get("User") or "",
            passwd=await _text(engine, container, "/etc/passwd"),
            group=await _text(engine, container, "/etc/group"),
        )
        if user.is_root:
            user = unprivileged(user.home)
            say(
                f"The image's user is root; the Actor runs as user {user.uid} instead, "
                f"who owns the folders {cwd} and {ROOT_HOME}."
            )
            image_id = await _give_up_root(engine, container, config, user, cwd=cwd, tag=tag)
    finally:
        await engine.ask("DELETE", path_of("containers", container), params=REMOVED_WHOLE)
    image = Image(
        argv=_start(config, definition, say),
        env=_environment(config, user),
        cwd=cwd,
        reference=image_id,
        user=user.name,
    )
    return Finished(image, int(seen["Size"]))


def _start(
    config: Mapping[str, Any], definition: ActorDefinition, say: Callable[[str], None]
) -> tuple[str, ...]:
    start = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if start:
        return start
    is_node = (definition.context / "package.json").is_file()
    guessed = guessed_start(definition.context, node=is_node)
    say(f"The image has no start command; the Actor is started by {' '.join(guessed)}.")
    return guessed


def _environment(config: Mapping[str, Any], user: ImageUser) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {"PATH": SYSTEM_PATH, "HOME": user.home, **{name: value for name, _, value in pairs}}


async def _container(engine: Engine, image_id: str, name: str) -> str:
    """To look into the image; it is never started."""
    body = {"Image": image_id, "Entrypoint": ["true"], "Cmd": [], "NetworkDisabled": True}
    params = {"name": name}
    return (await engine.ask("POST", "/containers/create", params=params, body=body))["Id"]


async def _text(engine: Engine, container: str, path: str) -> str:
    """A file of the image; empty when it has none, or something else of that name."""
    try:
        async with engine.answer(
            "GET", path_of("containers", container, "archive"), params={"path": path}
        ) as answer:
            packed = await answer.content.read(_MAX_LIST_BYTES)
            async for more in answer.content.iter_any():
                packed += more
                if len(packed) > _MAX_LIST_BYTES:
                    return ""
    except EngineRefused as error:
        if error.is_missing:
            return ""
        raise
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            entry = archive.next()
            file = archive.extractfile(entry) if entry is not None and entry.isreg() else None
            return file.read().decode(errors="replace") if file else ""
    except tarfile.TarError:
        return ""


async def _give_up_root(
    engine: Engine,
    container: str,
    config: Mapping[str, Any],
    user: ImageUser,
    *,
    cwd: str,
    tag: str,
) -> str:
    """The id of the image with a thin layer more, in which the folders that programs write to are the user's."""
    await engine.ask(
        "PUT",
        path_of("containers", container, "archive"),
        params={"path": "/"},
        body=_folders({cwd, ROOT_HOME} - {"/"}, user),
    )
    repository, _, name = tag.rpartition(":")
    params = {"container": container, "repo": repository, "tag": name, "pause": "0"}
    made = await engine.ask("POST", "/commit", params=params, body={**config, "User": user.name})
    return made["Id"]


def _folders(paths: set[str], user: ImageUser) -> bytes:
    def fill(archive: tarfile.TarFile) -> None:
        for path in sorted(paths):
            entry = tarfile.TarInfo(posixpath.normpath(path).lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            entry.uid, entry.gid = user.uid, user.gid
            archive.addfile(entry)

    return packed(fill)
