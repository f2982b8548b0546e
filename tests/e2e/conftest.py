"""Fixtures for Actors that run with the official SDKs."""

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import SdkActors
from tests.server import Client


@pytest.fixture
def sdk(api: Client, actors: ActorMaker) -> SdkActors:
    return SdkActors(api, actors)
