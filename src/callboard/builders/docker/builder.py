"""The Docker builder: its driver, a job like any other build's, has an engine make the image."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from callboard.builders.docker.place import Place
from callboard.builders.driven import DrivenBuilder
from callboard.builders.process.builder import driver_environment
from callboard.executors.docker.container import REMOVED_WHOLE
from callboard.executors.docker.engine import Engine, EngineGone, EngineRefused, path_of

log = structlog.get_logger()


class DockerBuilder(DrivenBuilder):
    """Builds container images. The driver runs on this host; the steps of a Dockerfile run in containers."""

    name = "docker"
    module = "callboard.builders.docker"

    def __init__(self, place: Place) -> None:
        self._place = place

    def environment(self) -> dict[str, str]:
        return driver_environment() | self._place.environment()

    def remove(self, build_dir: Path) -> None:
        """While the image is in use, or its engine away, the folder stays, for the reaper to find and try again."""
        if not build_dir.exists():
            return
        try:
            asyncio.run(self._remove_from_engine(build_dir.name))
        except (EngineGone, EngineRefused) as error:
            log.warning("image.not_removed", build_id=build_dir.name, error=str(error))
        else:
            super().remove(build_dir)

    async def _remove_from_engine(self, build_id: str) -> None:
        """The image, and what a driver that was killed has left to look at it."""
        container = path_of("containers", self._place.container(build_id))
        async with Engine(self._place.url) as engine:
            await _remove(engine, container, REMOVED_WHOLE)
            await _remove(engine, path_of("images", self._place.tag(build_id)), {})


async def _remove(engine: Engine, path: str, params: Mapping[str, str]) -> None:
    try:
        await engine.ask("DELETE", path, params=params)
    except EngineRefused as error:
        if not error.is_missing:
            raise
