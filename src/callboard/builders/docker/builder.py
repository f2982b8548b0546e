"""The Docker builder: its driver, a job like any other build's, has an engine make the image."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import structlog

from callboard.builders.docker.place import Place
from callboard.builders.docker.turns import ImagesAreMade, removing_images
from callboard.builders.driven import DrivenBuilder
from callboard.builders.process.builder import driver_environment
from callboard.executors.docker.container import REMOVED_WHOLE
from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused, path_of
from callboard.executors.docker.shield import is_podman

log = structlog.get_logger()


class DockerBuilder(DrivenBuilder):
    """Builds container images. The driver runs on this host; the steps of a Dockerfile run in containers."""

    name = "docker"
    module = "callboard.builders.docker"

    def __init__(self, place: Place) -> None:
        self._place = place
        self._removing = Lock()

    def environment(self) -> dict[str, str]:
        return driver_environment() | self._place.environment()

    def remove(self, build_dir: Path) -> None:
        """While the image is in use, or its engine away, the folder stays, for the reaper to find and try again.

        So it does while Podman makes others.
        """
        if not build_dir.exists():
            return
        try:
            with self._removing:
                asyncio.run(self._remove_from_engine(build_dir))
        except (EngineGone, EngineRefused, ImagesAreMade) as error:
            log.warning("image.not_removed", build_id=build_dir.name, error=str(error))
        else:
            super().remove(build_dir)

    async def _remove_from_engine(self, build_dir: Path) -> None:
        """The image, and what a driver that was killed has left to look at it."""
        container = path_of("containers", self._place.container(build_dir.name))
        image = path_of("images", self._place.tag(build_dir.name))
        async with Engine(self._place.url) as engine:
            takes_turns = await is_podman(engine)
            with removing_images(build_dir.parent) if takes_turns else nullcontext():
                await _remove(engine, container, REMOVED_WHOLE)
                await _remove(engine, image, {})


async def _remove(engine: Engine, path: str, params: Mapping[str, str]) -> None:
    try:
        await engine.ask("DELETE", path, params=params)
    except EngineRefused as error:
        if not error.is_missing:
            raise
