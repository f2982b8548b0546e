"""The Store: public Actors of this server."""

import itertools
from typing import Any

import pytest

from callboard.core.ids import new_id
from tests.actors import ActorMaker
from tests.server import Client

EVENTS = {"page": {"eventTitle": "Page", "eventDescription": "A page", "eventPriceUsd": 0.01}}
PAID = {"pricingModel": "PAY_PER_EVENT", "pricingPerEvent": {"actorChargeEvents": EVENTS}}


async def publish(actors: ActorMaker, title: str, **fields: Any) -> dict[str, Any]:
    return await actors.create(
        {"main.sh": ""}, title=title, isPublic=True, **{"categories": ["AI"], **fields}
    )


@pytest.fixture
def word() -> str:
    """A word that occurs in no other test's Actors."""
    return new_id().lower()


async def titles(api: Client, **params: Any) -> list[str]:
    return [row["title"] for row in (await api.get("/v2/store", params=params)).data["items"]]


async def test_public_actors_are_found_by_words(api: Client, actors: ActorMaker, word: str):
    await publish(actors, f"Zebra {word} counter")
    await publish(actors, "Lion counter", description=f"Counts {word}, not a ZEBRA")
    await publish(actors, f"Lion {word}")
    assert await titles(api, search=f"{word} zebra") == [f"Zebra {word} counter", "Lion counter"]


async def test_the_readme_is_searched(api: Client, actors: ActorMaker, word: str):
    files = {"Dockerfile": 'FROM debian\nCMD ["true"]\n', "README.md": f"# About {word}\n"}
    await actors.built(files, title="With readme", isPublic=True, categories=["AI"])
    assert await titles(api, search=word) == ["With readme"]


async def test_private_actors_are_not_shown(api: Client, actors: ActorMaker, word: str):
    await actors.create({"main.sh": ""}, title=f"Secret {word}")
    assert await titles(api, search=word) == []


async def test_the_store_is_open_to_anyone(api: Client, actors: ActorMaker):
    await publish(actors, "Open")
    reply = await api.get("/v2/store", params={"username": api.username}, token=None)
    assert [row["title"] for row in reply.data["items"]] == ["Open"]


async def test_category_and_pricing_model_filter(api: Client, actors: ActorMaker):
    await publish(actors, "Free", categories=["NEWS", "AI"])
    await publish(actors, "Paid", pricingInfos=[PAID])
    mine = {"username": api.username}
    assert await titles(api, category="NEWS", **mine) == ["Free"]
    assert await titles(api, pricingModel="FREE", **mine) == ["Free"]
    assert await titles(api, pricingModel="PAY_PER_EVENT", **mine) == ["Paid"]
    assert await titles(api, allowsAgenticUsers="false", **mine) == []


async def test_the_newest_and_the_last_changed_come_first(api: Client, actors: ActorMaker):
    first = await publish(actors, "First")
    await publish(actors, "Second")
    await api.put(f"/v2/actors/{first['id']}", json={"description": "changed"})
    mine = {"username": api.username}
    assert await titles(api, sortBy="newest", **mine) == ["Second", "First"]
    assert await titles(api, sortBy="lastUpdate", **mine) == ["First", "Second"]


async def test_pages_follow_each_other(api: Client, actors: ActorMaker):
    for number in range(3):
        await publish(actors, f"Number {number}")
    pages = [await titles(api, username=api.username, offset=offset, limit=2) for offset in (0, 2)]
    assert [len(page) for page in pages] == [2, 1]
    assert set(itertools.chain(*pages)) == {"Number 0", "Number 1", "Number 2"}


async def test_agents_get_less_to_read(api: Client, actors: ActorMaker):
    await publish(actors, "Short")
    params = {"username": api.username, "responseFormat": "agent"}
    (row,) = (await api.get("/v2/store", params=params)).data["items"]
    assert "pictureUrl" not in row and "currentPricingInfo" not in row
    assert set(row["stats"]) == {"totalRuns", "totalUsers", "totalUsers30Days"}


@pytest.mark.parametrize("name", ["sortBy", "pricingModel", "responseFormat"])
async def test_unknown_choices_are_refused(api: Client, name: str):
    reply = await api.get("/v2/store", params={name: "nonsense"})
    assert (reply.status, reply.error["type"]) == (400, "param-not-one-of")


@pytest.mark.parametrize(
    "pricing",
    [
        {"pricingModel": "BARTER"},
        {"pricingModel": "PAY_PER_EVENT"},
        {"pricingModel": "PAY_PER_EVENT", "pricingPerEvent": []},
        {"pricingModel": "FREE", "startedAt": "soon"},
    ],
)
async def test_a_wrong_pricing_is_refused(actors: ActorMaker, api: Client, pricing: Any):
    reply = await api.post("/v2/actors", json={"name": "priced", "pricingInfos": [pricing]})
    assert reply.status == 400
