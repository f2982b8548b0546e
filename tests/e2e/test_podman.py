"""A server that builds and runs Actors with Podman."""

import pytest

from tests.podman import IN_PLACE_OF_DOCKER

from . import test_docker as promises

pytestmark = pytest.mark.xdist_group("podman")


# The test itself, and its other fixtures.
SAME = (
    *("docker_api", "docker_server"),
    "test_an_actor_with_a_dockerfile_answers_a_synchronous_run",
)
globals().update(IN_PLACE_OF_DOCKER | {name: getattr(promises, name) for name in SAME})
