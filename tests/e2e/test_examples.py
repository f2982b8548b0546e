"""The sample Actors, from their folders to their output."""

import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import needs_node
from tests.server import Client

pytestmark = pytest.mark.xdist_group("sdk")

EXAMPLES = Path(__file__).parents[2] / "examples"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def source_files(folder: Path) -> list[dict[str, str]]:
    """A folder as the official CLI would push it."""
    return [
        {
            "name": str(path.relative_to(folder)),
            "format": "BASE64",
            "content": b64encode(path.read_bytes()).decode(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts)
    ]


async def push(actors: ActorMaker, name: str) -> dict[str, Any]:
    return await actors.built({}, name=name, version={"sourceFiles": source_files(EXAMPLES / name)})


async def run_sync(api: Client, actor: dict[str, Any], actor_input: Any) -> Any:
    reply = await api.post(f"/v2/actors/{actor['id']}/run-sync", json=actor_input)
    assert reply.status == 201, reply.body
    return reply


async def last_items(api: Client, actor: dict[str, Any]) -> list[dict[str, Any]]:
    reply = await api.get(f"/v2/actors/{actor['id']}/runs/last/dataset/items")
    return reply.json


async def test_the_python_sdk_example_counts_words(api: Client, actors: ActorMaker) -> None:
    actor = await push(actors, "python-sdk")
    reply = await run_sync(api, actor, {"text": "To be or not to be", "minLength": 3})
    assert reply.json == {"words": 1, "distinctWords": 1}
    assert await last_items(api, actor) == [{"word": "not", "count": 1}]
    run = (await api.get(f"/v2/actors/{actor['id']}/runs/last")).data
    assert run["statusMessage"] == "Distinct words: 1"


async def test_the_plain_python_example_computes(api: Client, actors: ActorMaker) -> None:
    actor = await push(actors, "python-plain")
    reply = await run_sync(api, actor, {"numbers": [1, 2, 3, 10]})
    assert reply.json == {"mean": 4.0, "median": 2.5, "deviation": pytest.approx(3.5355339)}


async def test_the_plain_python_example_wants_numbers(api: Client, actors: ActorMaker) -> None:
    actor = await push(actors, "python-plain")
    reply = await api.post(f"/v2/actors/{actor['id']}/run-sync", json={"numbers": []})
    assert reply.status == 400
    assert reply.error["type"] == "invalid-input"


@needs_curl
async def test_the_shell_example_answers_in_plain_text(api: Client, actors: ActorMaker) -> None:
    actor = await push(actors, "shell")
    reply = await run_sync(api, actor, {})
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.body.startswith(f"Actor:  {api.username}/shell, build 0.0.1\n".encode())


@needs_node
async def test_the_node_sdk_example_takes_links_apart(api: Client, actors: ActorMaker) -> None:
    actor = await push(actors, "node-sdk")
    link = "https://example.com/a/page?lang=en"
    reply = await run_sync(api, actor, {"links": [link, "nowhere"]})
    assert reply.json == {"readable": 1, "unreadable": ["nowhere"]}
    assert await last_items(api, actor) == [
        {"link": link, "hostname": "example.com", "pathname": "/a/page", "query": {"lang": "en"}}
    ]
