"""Actors, versions and environment variables over HTTP."""

from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.server import Client

FILES = [{"name": "main.py", "format": "TEXT", "content": "print(1)"}]


def version(number: str = "0.1", **fields: Any) -> dict[str, Any]:
    return {
        "versionNumber": number,
        "sourceType": "SOURCE_FILES",
        "sourceFiles": FILES,
        **fields,
    }


async def created(api: Client, **fields: Any) -> dict[str, Any]:
    body = {"name": "my-actor", "versions": [version()], **fields}
    return (await api.post("/v2/acts", json=body)).data


async def test_a_created_actor_is_found_by_every_reference(api: Client):
    actor = await created(api, title="T", defaultRunOptions={"memoryMbytes": 256})
    for ref in (actor["id"], "~my-actor", f"{api.username}~my-actor", "me~my-actor"):
        found = (await api.get(f"/v2/actors/{ref}")).data
        assert found["id"] == actor["id"]
    assert actor["defaultRunOptions"] == {"memoryMbytes": 256}
    assert actor["versions"][0]["sourceFiles"] == FILES
    assert actor["username"] == api.username


async def test_creation_answers_with_the_place_of_the_actor(api: Client):
    reply = await api.post("/v2/acts", json={"name": "my-actor", "versions": [version()]})
    assert reply.status == 201
    assert reply.headers["Location"] == f"{api.url}/v2/actors/{reply.data['id']}"


async def test_a_name_is_taken_once_in_an_account(api: Client, other: Client):
    await created(api)
    again = await api.post("/v2/acts", json={"name": "my-actor"})
    assert (again.status, again.error["type"]) == (409, "actor-name-not-unique")
    assert (await other.post("/v2/acts", json={"name": "my-actor"})).status == 201


@pytest.mark.parametrize("name", ["ab", "-abc", "abc-", "a_b_c", "a" * 64, "a b c"])
async def test_an_invalid_name_is_refused(api: Client, name: str):
    reply = await api.post("/v2/acts", json={"name": name})
    assert (reply.status, reply.error["type"]) == (400, "invalid-value")


async def test_others_cannot_see_or_change_an_actor(api: Client, other: Client):
    actor = await created(api)
    for method in ("get", "delete"):
        reply = await getattr(other, method)(f"/v2/acts/{actor['id']}")
        assert (reply.status, reply.error["type"]) == (404, "record-not-found")
    reply = await other.put(f"/v2/acts/{actor['id']}", json={"title": "mine"})
    assert reply.status == 404
    assert (await other.get("/v2/acts")).data["total"] == 0


async def test_a_public_actor_is_seen_without_its_sources_and_not_changed(
    api: Client, other: Client
):
    actor = await created(api, isPublic=True, title="T", categories=["AI"])
    seen = (await other.get(f"/v2/acts/{actor['id']}")).data
    assert (seen["title"], seen["versions"]) == ("T", [])
    assert (await other.put(f"/v2/acts/{actor['id']}", json={"title": "x"})).status == 404


async def test_publishing_needs_a_title_and_a_category(api: Client):
    actor = await created(api)
    reply = await api.put(f"/v2/acts/{actor['id']}", json={"isPublic": True})
    assert (reply.status, reply.error["type"]) == (400, "cannot-publish-actor")


async def test_an_update_changes_only_what_it_names(api: Client):
    actor = await created(api, title="T", description="D")
    changed = (await api.put(f"/v2/acts/{actor['id']}", json={"title": None})).data
    assert (changed["title"], changed["description"]) == (None, "D")
    assert len(changed["versions"]) == 1
    assert changed["modifiedAt"] >= actor["modifiedAt"]


async def test_a_wrong_type_is_named_in_the_error(api: Client):
    reply = await api.post("/v2/acts", json={"name": 5})
    assert (reply.status, reply.error["type"]) == (400, "invalid-request")
    assert "$.name" in reply.error["message"]


async def test_tags_are_patched(api: Client, actors: ActorMaker):
    actor = await actors.shell("true")
    build_id = (await api.get(f"/v2/acts/{actor['id']}")).data["taggedBuilds"]["latest"]["buildId"]
    path = f"/v2/acts/{actor['id']}"
    both = (await api.put(path, json={"taggedBuilds": {"beta": {"buildId": build_id}}})).data
    assert set(both["taggedBuilds"]) == {"latest", "beta"}
    one = (await api.put(path, json={"taggedBuilds": {"latest": None}})).data
    assert set(one["taggedBuilds"]) == {"beta"}
    wrong = await api.put(path, json={"taggedBuilds": {"x": {"buildId": "nope"}}})
    assert (wrong.status, wrong.error["type"]) == (400, "invalid-value")


async def test_versions_are_created_changed_and_deleted(api: Client):
    path = f"/v2/acts/{(await created(api))['id']}/versions"
    made = await api.post(path, json=version("0.2", buildTag="beta"))
    assert (made.status, made.data["buildTag"]) == (201, "beta")
    again = await api.post(path, json=version("0.2"))
    assert (again.status, again.error["type"]) == (409, "version-already-exists")
    for method in ("put", "post"):
        changed = (await getattr(api, method)(f"{path}/0.2", json={"buildTag": method})).data
        assert (changed["buildTag"], changed["sourceFiles"]) == (method, FILES)
    assert (await api.delete(f"{path}/0.2")).status == 204
    assert (await api.get(path)).data["total"] == 1
    last = await api.delete(f"{path}/0.1")
    assert (last.status, last.error["type"]) == (400, "too-few-versions")
    assert (await api.get(f"{path}/9.9")).error["type"] == "record-not-found"


@pytest.mark.parametrize("number", ["1", "1.2.3", "100.0", "01.1", "x.y", "", None])
async def test_a_version_number_is_two_numbers_below_a_hundred(api: Client, number: Any):
    path = f"/v2/acts/{(await created(api))['id']}/versions"
    reply = await api.post(path, json={**version(), "versionNumber": number})
    assert (reply.status, reply.error["type"]) == (400, "invalid-value")


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../x", "a//b", ".", "", "a\\b", "a\0b", "main.py"],
)
async def test_hostile_file_names_are_refused(api: Client, name: str):
    path = f"/v2/acts/{(await created(api))['id']}/versions/0.1"
    files = [*FILES, {"name": name, "format": "TEXT", "content": "x"}]
    reply = await api.put(path, json={"sourceFiles": files})
    assert (reply.status, reply.error["type"]) == (400, "invalid-value")
    assert (await api.get(path)).data["sourceFiles"] == FILES


async def test_a_secret_variable_is_never_shown_and_survives_an_update(
    api: Client, actors: ActorMaker
):
    actor = await actors.create(
        {"main.py": "import os; print('the secret is', os.environ['KEY'], os.environ['OPEN'])"},
        version={
            "envVars": [
                {"name": "KEY", "value": "s3cr3t-value", "isSecret": True},
                {"name": "OPEN", "value": "sesame"},
            ]
        },
    )
    path = f"/v2/acts/{actor['id']}/versions/0.0"
    listed = await api.get(f"{path}/env-vars")
    assert b"s3cr3t" not in listed.body + (await api.get(f"/v2/acts/{actor['id']}")).body
    assert listed.data["items"] == [
        {"name": "KEY", "isSecret": True},
        {"name": "OPEN", "isSecret": False, "value": "sesame"},
    ]
    await api.put(
        path, json={"envVars": [{"name": "KEY", "isSecret": True}, listed.data["items"][1]]}
    )
    await actors.build(actor["id"])
    assert (
        await api.post(f"/v2/acts/{actor['id']}/run-sync", params={"memory": 128})
    ).status == 201
    log = (await api.get(f"/v2/acts/{actor['id']}/runs/last/log")).body.decode()
    assert "sesame" in log
    assert "s3cr3t-value" not in log


async def test_environment_variables_one_by_one(api: Client):
    path = f"/v2/acts/{(await created(api))['id']}/versions/0.1/env-vars"
    assert (await api.post(path, json={"name": "A", "value": "1"})).status == 201
    again = await api.post(path, json={"name": "A", "value": "1"})
    assert (again.status, again.error["type"]) == (409, "env-var-already-exists")
    changed = (await api.put(f"{path}/A", json={"name": "A", "value": "2"})).data
    assert changed == {"name": "A", "isSecret": False, "value": "2"}
    renamed = await api.put(f"{path}/A", json={"name": "B", "value": "2"})
    assert renamed.error["type"] == "cannot-rename-env-var"
    bad = await api.post(path, json={"name": "1=x", "value": "2"})
    assert bad.error["type"] == "invalid-value"
    assert (await api.delete(f"{path}/A")).status == 204
    assert (await api.get(f"{path}/A")).error["type"] == "record-not-found"


async def test_actors_are_listed_page_by_page(api: Client):
    for name in ("one-actor", "two-actor", "three-actor"):
        await created(api, name=name)
    page = (await api.get("/v2/acts", params={"limit": 2, "offset": 1, "desc": 1})).data
    assert [item["name"] for item in page["items"]] == ["two-actor", "one-actor"]
    assert page["items"][0]["title"] == "two-actor"
    assert (page["total"], page["count"], page["offset"], page["limit"]) == (3, 2, 1, 2)
    sorted_page = await api.get("/v2/acts", params={"sortBy": "nonsense"})
    assert sorted_page.error["type"] == "param-not-one-of"


async def test_a_deleted_actor_is_gone(api: Client):
    actor = await created(api)
    assert (await api.delete(f"/v2/acts/{actor['id']}")).status == 204
    assert (await api.get(f"/v2/acts/{actor['id']}")).error["type"] == "record-not-found"
    assert (await api.delete(f"/v2/acts/{actor['id']}")).status == 404


async def test_a_source_type_of_null_leaves_the_one_there_is(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.sh": ""})
    for method in ("PUT", "POST"):
        reply = await api.request(
            method, f"/v2/actors/{actor['id']}/versions/0.0", json={"sourceType": None}
        )
        assert reply.data["sourceType"] == "SOURCE_FILES"


async def test_actors_of_others_are_listed_once_they_have_been_used(
    api: Client, other: Client, actors: ActorMaker
):
    own = await actors.create({"main.sh": ""})
    public = {"isPublic": True, "title": "T", "categories": ["AI"]}
    theirs = await ActorMaker(other).shell("true", **public)

    async def listed(**params: str) -> list[str]:
        page = (await api.get("/v2/acts", params=params)).data
        assert page["total"] == len(page["items"])
        return [row["id"] for row in page["items"]]

    assert await listed() == [own["id"]]
    await api.post(f"/v2/acts/{theirs['id']}/runs", params={"memory": 128, "waitForFinish": 30})
    assert await listed() == [own["id"], theirs["id"]]
    assert await listed(my="1") == [own["id"]]
    assert await listed(sortBy="stats.lastRunStartedAt", desc="1") == [theirs["id"], own["id"]]
    await other.put(f"/v2/acts/{theirs['id']}", json={"isPublic": False})
    assert await listed() == [own["id"]]
