"""Podman where the tests of containers have Docker: modules that run some of them again take its fixtures."""

import pytest

from tests.engines import ContainerEngine


@pytest.fixture(scope="session")
def dockerd(podman: ContainerEngine) -> ContainerEngine:
    return podman


@pytest.fixture(scope="session")
def python_image(podman_python_image: str) -> str:
    return podman_python_image


IN_PLACE_OF_DOCKER = {"dockerd": dockerd, "python_image": python_image}
