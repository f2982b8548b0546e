"""Actors with the official SDKs. All builds of one SDK share the layer in which its packages were installed."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callboard.builders.process.interpreters import browser
from tests.actors import ActorMaker
from tests.server import Client

NODE_PROJECT = Path(__file__).parents[1] / "clients/js"

PYTHON_DOCKERFILE = """
FROM apify/actor-python:3.11
COPY requirements.txt ./
RUN pip install -r requirements.txt
COPY . ./
CMD ["python", "main.py"]
"""
NODE_DOCKERFILE = """
FROM node:20
WORKDIR /usr/src/app
COPY package*.json ./
RUN npm ci --omit=dev
COPY . ./
CMD ["node", "main.mjs"]
"""
PYTHON_MAIN = """
import asyncio, json, os
from apify import Actor, Event

async def main():
    async with Actor:
{body}

asyncio.run(main())
"""
PYTHON_FILES = {
    "Dockerfile": PYTHON_DOCKERFILE,
    "requirements.txt": "apify==4.1.0\ncrawlee[beautifulsoup]==1.11.0\n",
}

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="needs Node.js and npm"
)

needs_browser = pytest.mark.skipif(browser() is None, reason="needs Chromium")


def node_files() -> dict[str, str]:
    """The project whose packages are locked for the tests of the JavaScript client."""
    names = ("package.json", "package-lock.json", ".npmrc")
    return {
        "Dockerfile": NODE_DOCKERFILE,
        **{name: (NODE_PROJECT / name).read_text() for name in names},
    }


def python_program(body: str) -> str:
    """An Actor that does `body` once the SDK has started."""
    lines = (f"        {line}" for line in body.strip().splitlines())
    return PYTHON_MAIN.format(body="\n".join(lines))


@dataclass
class SdkActors:
    """Runs programs that use an SDK."""

    api: Client
    actors: ActorMaker

    async def python(self, code: str, **fields: Any) -> dict[str, Any]:
        """A built Actor with the Python SDK and Crawlee."""
        files = {**PYTHON_FILES, "main.py": code, **fields.pop("files", {})}
        return await self.built(files, **fields)

    async def node(self, code: str, **fields: Any) -> dict[str, Any]:
        """A built Actor with the JavaScript SDK and Crawlee."""
        files = {**node_files(), "main.mjs": code, **fields.pop("files", {})}
        return await self.built(files, **fields)

    async def built(self, files: dict[str, str], **fields: Any) -> dict[str, Any]:
        """An Actor of these files."""
        actor = await self.actors.create(files, **fields)
        build = await self.actors.build(actor["id"], useCache=True)
        while build["status"] in {"READY", "RUNNING"}:
            build = (
                await self.api.get(f"/v2/actor-builds/{build['id']}", params={"waitForFinish": 60})
            ).data
        assert build["status"] == "SUCCEEDED", await self.log(build)
        return actor

    async def start(self, actor: dict[str, Any], run_input: Any = None, **params: Any) -> Any:
        """A run with a whole core, so that starting Python or Node takes no longer than it must."""
        options = {"memory": 4096, **params}
        body = {} if run_input is None else {"json": run_input}
        reply = await self.api.post(f"/v2/actors/{actor['id']}/runs", params=options, **body)
        return reply.data

    async def ran(self, actor: dict[str, Any], run_input: Any = None, **params: Any) -> Any:
        """The run at its end, whatever the end."""
        return await self.start(actor, run_input, waitForFinish=60, **params)

    async def log(self, job: dict[str, Any]) -> str:
        return (await self.api.get(f"/v2/logs/{job['id']}")).body.decode()

    async def record(self, run: dict[str, Any], key: str = "OUTPUT") -> Any:
        reply = await self.api.get(f"/v2/actor-runs/{run['id']}/key-value-store/records/{key}")
        assert reply.status == 200, f"no {key}; the log says:\n{await self.log(run)}"
        return reply.json

    async def items(self, run: dict[str, Any]) -> Any:
        return (await self.api.get(f"/v2/actor-runs/{run['id']}/dataset/items")).json
