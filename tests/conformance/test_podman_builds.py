"""Podman's socket in place of Docker's: what builders promise."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from callboard.builders.base import Builder
from tests.podman import IN_PLACE_OF_DOCKER

from . import test_builders as promises
from .conftest import Stage

pytestmark = pytest.mark.xdist_group("podman")


@pytest.fixture
def workshop(
    containers: tuple[Stage, Builder], stage: Stage, build_cache: Path, tmp_path: Path
) -> promises.Workshop:
    runs, builder = containers
    return promises.Workshop(builder, stage, replace(runs, work=tmp_path), build_cache)


# The tests themselves, and their other fixtures.
SAME = (
    *("build_cache", "containers", "make_executor"),
    "test_building_again_without_changes_repeats_no_step",
    "test_a_failing_step_fails_the_build_in_the_tools_own_words",
    "test_removing_a_build_leaves_nothing_and_can_be_repeated",
)
globals().update(IN_PLACE_OF_DOCKER | {name: getattr(promises, name) for name in SAME})


async def test_no_image_is_removed_while_another_is_made(workshop: promises.Workshop):
    built = await workshop.build({"Dockerfile": promises.SHELL + "CMD true"})
    slow = workshop.spec({"Dockerfile": promises.SHELL + "RUN echo going on; sleep 2\nCMD true"})
    handle = await workshop.stage.executor.start(slow)
    await workshop.stage.until_logged(slow, "going on")
    await asyncio.to_thread(workshop.builder.remove, built.folder)
    assert built.folder.exists()
    assert (await workshop.stage.wait(handle)).exit_code == 0
    await asyncio.to_thread(workshop.builder.remove, built.folder)
    assert not built.folder.exists()
