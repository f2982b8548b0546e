"""Making Actors in tests: pushed through the public API and built for real."""

import textwrap
from collections.abc import Mapping
from typing import Any

from callboard.core.ids import new_id
from tests.server import Client

SHELL_DOCKERFILE = 'FROM debian\nCOPY . ./\nCMD ["sh", "main.sh"]\n'


class ActorMaker:
    """Creates and builds Actors. Without requirements a build takes well under a second."""

    def __init__(self, api: Client) -> None:
        self._api = api

    async def create(
        self, files: Mapping[str, str], *, name: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """An Actor with one version, 0.0, not yet built."""
        version = {
            "versionNumber": "0.0",
            "sourceType": "SOURCE_FILES",
            "buildTag": "latest",
            "sourceFiles": [
                {"name": path, "format": "TEXT", "content": textwrap.dedent(content)}
                for path, content in files.items()
            ],
            **fields.pop("version", {}),
        }
        reply = await self._api.post(
            "/v2/actors",
            json={"name": name or f"actor-{new_id()[:8].lower()}", "versions": [version], **fields},
        )
        return reply.data

    async def build(self, actor_id: str, **params: Any) -> dict[str, Any]:
        """A finished build of the Actor's version, whatever its status."""
        reply = await self._api.post(
            f"/v2/actors/{actor_id}/builds",
            params={"version": "0.0", "waitForFinish": 60, **params},
        )
        return reply.data

    async def built(self, files: Mapping[str, str], **fields: Any) -> dict[str, Any]:
        """An Actor with a succeeded build."""
        actor = await self.create(files, **fields)
        build = await self.build(actor["id"])
        if build["status"] != "SUCCEEDED":
            log = (await self._api.get(f"/v2/logs/{build['id']}")).body.decode()
            raise AssertionError(f"the build {build['status']}: {build['statusMessage']}\n{log}")
        return actor

    async def python(self, code: str, **fields: Any) -> dict[str, Any]:
        """An Actor of one Python file that needs nothing but the standard library."""
        files = {"main.py": PRELUDE + textwrap.dedent(code), **fields.pop("files", {})}
        return await self.built(files, **fields)

    async def shell(self, script: str, **fields: Any) -> dict[str, Any]:
        """An Actor of one shell script."""
        return await self.built({"Dockerfile": SHELL_DOCKERFILE, "main.sh": script}, **fields)


PRELUDE = '''\
"""What an Actor can do with the standard library alone."""
import json
import os
import sys
import time
import urllib.request

API = os.environ["APIFY_API_BASE_URL"] + "/v2"
STORE = f"{API}/key-value-stores/{os.environ['ACTOR_DEFAULT_KEY_VALUE_STORE_ID']}"
DATASET = f"{API}/datasets/{os.environ['ACTOR_DEFAULT_DATASET_ID']}"


def call(method, url, body=None, content_type="application/json", **headers):
    """Body of the answer to a request with the run's token."""
    headers = {"Authorization": "Bearer " + os.environ["APIFY_TOKEN"], "Content-Type": content_type, **headers}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request) as response:
        return response.read()


def get_input():
    return json.loads(call("GET", f"{STORE}/records/{os.environ['ACTOR_INPUT_KEY']}"))


def set_value(key, value, content_type="application/json"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    call("PUT", f"{STORE}/records/{key}", body, content_type)


def push(items):
    call("POST", f"{DATASET}/items", json.dumps(items).encode())


'''
