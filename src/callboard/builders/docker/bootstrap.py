"""Makes the base images with an engine: a first layer from Debian's packages, a second one for Actors."""

import asyncio
import io
import os
import platform
import shutil
import tarfile
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from callboard.builders.base import SYSTEM_PATH
from callboard.builders.docker import installed
from callboard.builders.docker.base_images import (
    Language,
    bootstrap_command,
    installed_version,
    second_layer,
)
from callboard.builders.docker.messages import BuildMessages
from callboard.builders.process.registries import proxies, read_registries
from callboard.executors.docker.container import REMOVED_WHOLE
from callboard.executors.docker.engine import Engine, path_of

_CHUNK_BYTES = 1024 * 1024
_STATUS = "/var/lib/dpkg/status"


class BootstrapFailed(Exception):
    """An image could not be made. The message is for the operator."""


@dataclass(frozen=True)
class Wish:
    """Which system an image is made of. `mirrors` are what mmdebstrap takes: URLs, lines or files of sources."""

    suite: str
    mirrors: Sequence[str] = ()
    packages: Sequence[str] = ()
    installed: bool = False
    """Of what this machine has installed, instead of a suite's packages."""
    sdk: bool = True
    """With what Apify's images for the language carry from a package registry."""


async def bootstrap(
    engine: Engine, language: Language, wish: Wish, *, say: Callable[[str], None]
) -> list[str]:
    """Make the image and return its names. Raises BootstrapFailed, EngineGone, EngineRefused."""
    base = f"callboard/base-{language.name}:latest"
    origin = "installed packages" if wish.installed else f"the packages of {wish.suite}"
    say(f"Making {base} of {origin}.")
    await _import(engine, language, wish, base)
    version = await _version(engine, language, base)
    names = [f"{language.repository}:{tag}" for tag in (version, "latest")]
    say(f"Making {names[0]}.")
    context = second_layer(language, base, read_registries(os.environ), sdk=wish.sdk)
    await _add_layer(engine, context, names, say)
    return names


async def _import(engine: Engine, language: Language, wish: Wish, base: str) -> None:
    repository, _, tag = base.rpartition(":")
    changes = f"ENV PATH={SYSTEM_PATH}"
    params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}
    layer = _of_installed(language, wish) if wish.installed else _of_suite(language, wish)
    async with (
        layer as content,
        engine.answer("POST", "/images/create", params=params, body=content) as answer,
    ):
        await answer.read()


@asynccontextmanager
async def _of_installed(language: Language, wish: Wish) -> AsyncGenerator[AsyncIterator[bytes]]:
    try:
        known = installed.read_packages(await asyncio.to_thread(Path(_STATUS).read_text))
        wanted = ("apt", *language.packages, *wish.packages)
        packages = installed.with_dependencies(known, wanted)
    except OSError as error:
        raise BootstrapFailed("This machine has no packages of Debian's installed.") from error
    except KeyError as error:
        raise BootstrapFailed(f"The package {error.args[0]} is not installed.") from error
    with tempfile.TemporaryFile() as file:
        await asyncio.to_thread(installed.write_layer, file, packages)
        file.seek(0)
        yield _read(file)


@asynccontextmanager
async def _of_suite(language: Language, wish: Wish) -> AsyncGenerator[AsyncIterator[bytes]]:
    if shutil.which("mmdebstrap") is None:
        raise BootstrapFailed("mmdebstrap is needed; install the package of that name.")
    command = bootstrap_command(
        language, suite=wish.suite, mirrors=wish.mirrors, packages=wish.packages
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    try:
        yield _chunks(process.stdout)
        said = (await errors).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise BootstrapFailed(f"mmdebstrap failed: {said[-2000:]}")
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        errors.cancel()


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


async def _chunks(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await stream.read(_CHUNK_BYTES):
        yield chunk


async def _version(engine: Engine, language: Language, image: str) -> str:
    """Read from the image, without running anything of it."""
    body = {"Image": image, "Cmd": ["true"], "NetworkDisabled": True}
    container = (await engine.ask("POST", "/containers/create", body=body))["Id"]
    try:
        path = path_of("containers", container, "archive")
        async with engine.answer("GET", path, params={"path": _STATUS}) as answer:
            packed = io.BytesIO(await answer.read())
    finally:
        await engine.ask("DELETE", path_of("containers", container), params=REMOVED_WHOLE)
    with tarfile.open(fileobj=packed) as archive:
        file = archive.extractfile(Path(_STATUS).name)
        text = file.read().decode(errors="replace") if file else ""
    version = installed_version(language, text)
    if version is None:
        raise BootstrapFailed(f"The package {language.package} is not in the image.")
    return version


async def _add_layer(
    engine: Engine, context: bytes, names: list[str], say: Callable[[str], None]
) -> None:
    # The operator's own steps: they may use the machine's network, whatever the engine's own is like.
    params = {"t": names[0], "rm": "1", "forcerm": "1", "networkmode": "host"}
    params["buildargs"] = msgspec.json.encode(proxies(os.environ)).decode()
    messages = BuildMessages(say)
    async with engine.answer("POST", "/build", params=params, body=context) as answer:
        async for line in engine.lines(answer):
            messages.take(line)
    if messages.error:
        raise BootstrapFailed(messages.error)
    for name in names[1:]:
        repository, _, tag = name.rpartition(":")
        path = path_of("images", names[0], "tag")
        await engine.ask("POST", path, params={"repo": repository, "tag": tag})


def host_suite() -> str:
    """This machine's own Debian release, else the stable one."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "stable"
    is_debian = release.get("ID") == "debian"
    return release.get("VERSION_CODENAME", "stable") if is_debian else "stable"
