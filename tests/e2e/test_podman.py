"""A server that builds and runs Actors with Podman."""

import pytest

from tests.engines import ContainerEngine

from . import test_docker as promises

pytestmark = pytest.mark.xdist_group("podman")


@pytest.fixture(scope="session")
def dockerd(podman: ContainerEngine) -> ContainerEngine:
    return podman


@pytest.fixture(scope="session")
def python_image(podman_python_image: str) -> str:
    return podman_python_image


# The test itself, and its other fixtures.
SAME = (
    *("docker_api", "docker_server"),
    "test_an_actor_with_a_dockerfile_answers_a_synchronous_run",
)
globals().update({name: getattr(promises, name) for name in SAME})
