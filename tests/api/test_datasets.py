"""Datasets as objects: who may do what with them, and what they say about themselves."""

import time
from urllib.parse import urlsplit

from callboard.storages.signatures import sign_storage
from tests.api.dataset_client import DatasetClient
from tests.server import Client


async def test_a_new_dataset_is_empty_and_tells_where_it_is(api: Client):
    reply = await api.post("/v2/datasets")
    dataset = reply.data
    assert reply.status == 201
    assert reply.headers["Location"] == f"{api.url}/v2/datasets/{dataset['id']}"
    assert (dataset["itemCount"], dataset["cleanItemCount"], dataset["fields"]) == (0, 0, [])
    assert (dataset["name"], dataset["actId"], dataset["actRunId"]) == (None, None, None)
    assert dataset["consoleUrl"].endswith(f"/storage/datasets/{dataset['id']}")
    assert len(dataset["urlSigningSecretKey"]) > 20


async def test_creating_a_named_dataset_again_returns_the_first(api: Client):
    first = await api.post("/v2/datasets", params={"name": "results"})
    again = await api.post("/v2/datasets", params={"name": "results"})
    assert (first.status, again.status) == (201, 200)
    assert first.data["id"] == again.data["id"]


async def test_a_dataset_is_found_by_its_name_in_all_spellings(api: Client):
    dataset = (await api.post("/v2/datasets", params={"name": "results"})).data
    for ref in ("results", "~results", "me~results", f"{api.username}~results"):
        assert (await api.get(f"/v2/datasets/{ref}")).data["id"] == dataset["id"]


async def test_a_dataset_that_does_not_exist_is_a_record_not_found(api: Client):
    for reply in (
        await api.get("/v2/datasets/nonexistentdataset"),
        await api.get("/v2/datasets/nonexistentdataset/items"),
        await api.post("/v2/datasets/nonexistentdataset/items", json=[{}]),
        await api.get("/v2/datasets/nonexistentdataset/statistics"),
    ):
        assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_the_list_shows_named_datasets_without_their_secrets(api: Client):
    await api.post("/v2/datasets")
    named = (await api.post("/v2/datasets", params={"name": "named"})).data
    page = (await api.get("/v2/datasets")).data
    assert [row["id"] for row in page["items"]] == [named["id"]]
    assert (page["total"], page["count"], page["unnamed"]) == (1, 1, False)
    assert "urlSigningSecretKey" not in page["items"][0]
    assert "itemsPublicUrl" not in page["items"][0]
    assert (await api.get("/v2/datasets", params={"unnamed": 1})).data["total"] == 2


async def test_counters_follow_pushes(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1}, {"#hidden": 1}, {}, {"b": "é"})
    info = await dataset.info()
    assert (info["itemCount"], info["cleanItemCount"], info["fields"]) == (
        4,
        2,
        ["a", "#hidden", "b"],
    )
    assert info["stats"]["writeCount"] == 4
    assert info["stats"]["storageBytes"] == info["stats"]["inflatedBytes"] > 20
    assert info["modifiedAt"] > info["createdAt"]
    await dataset.push(b'[{"\\u0023escaped":1},{"a":"\\u0023"}]')
    assert (await dataset.info())["cleanItemCount"] == 3


async def test_a_deleted_dataset_is_gone_for_readers_and_writers(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    assert (await api.delete(dataset.path)).status == 204
    assert (await api.get(dataset.path)).status == 404
    assert (await dataset.read()).status == 404
    reply = await dataset.send(b"{}")
    assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_renaming_and_opening_a_dataset(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    body = {"name": "renamed", "title": "T", "generalAccess": "ANYONE_WITH_ID_CAN_READ"}
    changed = (await api.put(dataset.path, json=body)).data
    assert {key: changed[key] for key in body} == body
    assert (await api.get(f"{dataset.path}/items", token=None)).json == [{"a": 1}]


async def test_others_may_not_read_a_restricted_dataset(api: Client, other: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    for reply in (await other.get(dataset.path), await other.get(f"{dataset.path}/items")):
        assert (reply.status, reply.error["type"]) == (403, "insufficient-permissions")
        assert reply.error["message"].startswith("Insufficient permissions for the dataset.")


async def test_others_may_not_write_even_when_they_may_read(api: Client, other: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    await api.put(dataset.path, json={"generalAccess": "ANYONE_WITH_ID_CAN_READ"})
    assert (await other.get(f"{dataset.path}/items")).json == [{"a": 1}]
    assert (await other.post(f"{dataset.path}/items", json={"b": 1})).status == 403
    assert (await other.delete(dataset.path)).status == 403
    assert (await other.put(dataset.path, json={"name": "mine"})).status == 403
    assert (await dataset.info())["itemCount"] == 1


async def test_pushing_needs_a_token(api: Client):
    dataset = await DatasetClient.create(api)
    reply = await api.post(f"{dataset.path}/items", json={}, token=None)
    assert (reply.status, reply.error["type"]) == (401, "token-not-provided")


async def test_the_public_url_opens_the_items_without_a_token(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    url = urlsplit((await dataset.info())["itemsPublicUrl"])
    reply = await api.get(f"{url.path}?{url.query}", token=None)
    assert (reply.status, reply.json) == (200, [{"a": 1}])


async def test_a_signature_made_by_a_client_opens_the_items_until_it_expires(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    secret = dataset.created["urlSigningSecretKey"]
    for expires_at_millis, status in ((0, 200), (int(time.time() * 1000) - 1000, 403)):
        signature = sign_storage(secret, dataset.id, expires_at_millis=expires_at_millis)
        path = f"{dataset.path}/items?signature={signature}"
        assert (await api.get(path, token=None)).status == status


async def test_a_reader_by_signature_gets_no_key_of_their_own(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    signature = sign_storage(dataset.created["urlSigningSecretKey"], dataset.id)
    shown = (await api.get(f"{dataset.path}?signature={signature}", token=None)).data
    assert "urlSigningSecretKey" not in shown
    assert "signature" not in shown["itemsPublicUrl"]
