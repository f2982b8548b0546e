"""Official clients, bound to a fresh account of the live server."""

from typing import Any

import pytest

from tests.clients.python_client import FORMS
from tests.server import Client


@pytest.fixture(params=list(FORMS))
def client(request: pytest.FixtureRequest, api: Client) -> Any:
    """The official Python client, in each of its two forms."""
    return FORMS[request.param](api.token, api_url=api.url, api_public_url=api.url)


@pytest.fixture
def stranger(client: Any, other: Client) -> Any:
    """The same form of client with another account."""
    return type(client)(other.token, api_url=other.url, api_public_url=other.url)
