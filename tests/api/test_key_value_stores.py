"""Key-value stores over HTTP: the stores themselves, their keys, and signed access."""

import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from apify_client._utils.crypto import create_hmac_signature, create_storage_content_signature

from tests.server import Client

STORES = "/v2/key-value-stores"


async def make_store(api: Client, **body: Any) -> dict[str, Any]:
    return (await api.post(STORES, json=body)).data


async def put(api: Client, store_id: str, key: str, value: bytes = b"{}") -> None:
    headers = {"Content-Type": "application/json"}
    reply = await api.put(f"{STORES}/{store_id}/records/{key}", data=value, headers=headers)
    assert reply.status == 201


async def keys_of(api: Client, store_id: str, **params: Any) -> list[str]:
    reply = await api.get(f"{STORES}/{store_id}/keys", params=params)
    return [item["key"] for item in reply.data["items"]]


async def test_a_new_store_has_what_clients_need(api: Client):
    store = await make_store(api)
    assert store["username"] == api.username
    assert store["generalAccess"] == "FOLLOW_USER_SETTING"
    assert store["stats"] == {
        "readCount": 0,
        "writeCount": 0,
        "deleteCount": 0,
        "listCount": 0,
        "storageBytes": 0,
    }
    assert store["recordsPublicUrl"] == f"{api.url}{STORES}/{store['id']}/records"
    assert store["consoleUrl"].endswith(store["id"])
    assert len(store["urlSigningSecretKey"]) > 20
    assert (await api.get(f"{STORES}/{store['id']}")).data["id"] == store["id"]


async def test_a_named_store_is_made_once(api: Client):
    first = await api.post(STORES, params={"name": "my-store"})
    again = await api.post(STORES, params={"name": "my-store"})
    assert (first.status, again.status) == (201, 200)
    assert first.data["id"] == again.data["id"]
    assert first.headers["Location"] == f"{api.url}{STORES}/{first.data['id']}"
    assert (await api.get(f"{STORES}/~my-store")).data["id"] == first.data["id"]


async def test_a_deleted_store_is_gone_with_its_records(api: Client):
    store_id = (await make_store(api))["id"]
    await put(api, store_id, "key")
    assert (await api.delete(f"{STORES}/{store_id}")).status == 204
    for path in ("", "/keys", "/records", "/records/key"):
        assert (await api.get(f"{STORES}/{store_id}{path}")).error["type"] == "record-not-found"
    assert (await api.put(f"{STORES}/{store_id}/records/key", data=b"x")).status == 404


async def test_the_stores_bytes_are_counted(api: Client):
    store_id = (await make_store(api))["id"]
    await put(api, store_id, "small", b"x" * 1000)
    await put(api, store_id, "large", b"x" * 100_000)
    await put(api, store_id, "small", b"x" * 10)
    await api.delete(f"{STORES}/{store_id}/records/large")
    stats = (await api.get(f"{STORES}/{store_id}")).data["stats"]
    assert (stats["storageBytes"], stats["s3StorageBytes"]) == (10, 10)
    assert (stats["writeCount"], stats["deleteCount"]) == (3, 1)


async def test_keys_are_listed_in_byte_order(api: Client):
    store_id = (await make_store(api))["id"]
    for key in ("b", "B", "a", "_", "10", "9", "a.b", "a-b", "!'()"):
        await put(api, store_id, key, b"12345")
    reply = await api.get(f"{STORES}/{store_id}/keys")
    assert [item["key"] for item in reply.data["items"]] == [
        "!'()",
        "10",
        "9",
        "B",
        "_",
        "a",
        "a-b",
        "a.b",
        "b",
    ]
    assert {item["size"] for item in reply.data["items"]} == {5}
    assert {name: value for name, value in reply.data.items() if name != "items"} == {
        "count": 9,
        "limit": 1000,
        "exclusiveStartKey": None,
        "isTruncated": False,
        "nextExclusiveStartKey": None,
    }


async def test_paging_through_keys_meets_each_once(api: Client):
    store_id = (await make_store(api))["id"]
    expected = [f"key-{number:03d}" for number in range(45)]
    for key in expected:
        await put(api, store_id, key)
    met: list[str] = []
    params: dict[str, Any] = {"limit": 10}
    while True:
        page = (await api.get(f"{STORES}/{store_id}/keys", params=params)).data
        met += [item["key"] for item in page["items"]]
        assert page["exclusiveStartKey"] == params.get("exclusiveStartKey")
        if not page["isTruncated"]:
            break
        params["exclusiveStartKey"] = page["nextExclusiveStartKey"]
    assert met == expected
    assert page["count"] == 5


async def test_a_page_that_ends_with_the_last_key_is_not_truncated(api: Client):
    store_id = (await make_store(api))["id"]
    for key in ("a", "b"):
        await put(api, store_id, key)
    page = (await api.get(f"{STORES}/{store_id}/keys", params={"limit": 2})).data
    assert (page["isTruncated"], page["nextExclusiveStartKey"]) == (False, None)


@pytest.mark.parametrize(("limit", "effective"), [(0, 1000), (1, 1), (1000, 1000), (5000, 1000)])
async def test_limits_above_the_maximum_give_the_maximum(api: Client, limit: int, effective: int):
    store_id = (await make_store(api))["id"]
    page = (await api.get(f"{STORES}/{store_id}/keys", params={"limit": limit})).data
    assert page["limit"] == effective


@pytest.mark.parametrize("limit", ["-1", "abc", "1.5"])
async def test_a_limit_that_is_no_number_of_keys_is_refused(api: Client, limit: str):
    store_id = (await make_store(api))["id"]
    reply = await api.get(f"{STORES}/{store_id}/keys", params={"limit": limit})
    assert (reply.status, reply.error["type"]) == (400, "invalid-parameter")


async def test_keys_can_be_listed_by_prefix(api: Client):
    store_id = (await make_store(api))["id"]
    for key in ("post", "post-", "post-1", "post-2", "posu", "Post-3"):
        await put(api, store_id, key)
    assert await keys_of(api, store_id, prefix="post-") == ["post-", "post-1", "post-2"]
    assert await keys_of(api, store_id, prefix="post-", exclusiveStartKey="post-1") == ["post-2"]
    assert await keys_of(api, store_id, prefix="%_") == []


COLLECTIONS = {
    "actorKeyValueStoreSchemaVersion": 1,
    "title": "Store",
    "collections": {
        "images": {"title": "Images", "keyPrefix": "image-", "contentTypes": ["image/png"]},
        "state": {
            "title": "State",
            "key": "STATE",
            "jsonSchema": {
                "type": "object",
                "required": ["count"],
                "properties": {"count": {"type": "integer"}},
            },
        },
    },
}


async def test_keys_can_be_listed_by_collection(api: Client):
    store_id = (await make_store(api, schema=COLLECTIONS))["id"]
    for key in ("image-1", "image-2"):
        headers = {"Content-Type": "image/png"}
        await api.put(f"{STORES}/{store_id}/records/{key}", data=b"png", headers=headers)
    await put(api, store_id, "STATE", b'{"count": 1}')
    await put(api, store_id, "other")
    assert await keys_of(api, store_id, collection="images") == ["image-1", "image-2"]
    assert await keys_of(api, store_id, collection="images", prefix="image-2") == ["image-2"]
    assert await keys_of(api, store_id, collection="images", prefix="ima") == ["image-1", "image-2"]
    assert await keys_of(api, store_id, collection="state") == ["STATE"]
    assert await keys_of(api, store_id, collection="state", exclusiveStartKey="STATE") == []
    assert await keys_of(api, store_id, collection="state", prefix="x") == []


async def test_a_collection_that_is_not_there_is_an_error(api: Client):
    plain = (await make_store(api))["id"]
    with_schema = (await make_store(api, schema=COLLECTIONS))["id"]
    params = {"collection": "nope"}
    for path in ("keys", "records"):
        reply = await api.get(f"{STORES}/{plain}/{path}", params=params)
        assert (reply.status, reply.error["type"]) == (400, "store-schema-invalid")
        reply = await api.get(f"{STORES}/{with_schema}/{path}", params=params)
        assert (reply.status, reply.error["type"]) == (400, "invalid-collection")


@pytest.mark.parametrize(
    "collections",
    [
        "text",
        {"both": {"key": "a", "keyPrefix": "b"}},
        {"neither": {}},
        {"bad": {"key": "a", "jsonSchema": {"type": "nonsense"}}},
        {"remote": {"key": "a", "jsonSchema": {"$ref": "http://127.0.0.1:1/schema.json"}}},
    ],
    ids=["no-object", "both", "neither", "bad-schema", "remote-schema"],
)
async def test_a_schema_that_makes_no_sense_is_refused(api: Client, collections: Any):
    reply = await api.post(STORES, json={"schema": {"collections": collections}})
    assert (reply.status, reply.error["type"]) == (400, "store-schema-invalid")
    store_id = (await make_store(api))["id"]
    reply = await api.put(f"{STORES}/{store_id}", json={"schema": {"collections": collections}})
    assert (reply.status, reply.error["type"]) == (400, "store-schema-invalid")


async def test_a_store_schema_of_an_unknown_kind_is_kept_and_ignored(api: Client):
    schema = {"anything": [1, {"else": None}]}
    store = await make_store(api, schema=schema)
    assert store["schema"] == schema
    await put(api, store["id"], "key")


@pytest.mark.parametrize(
    ("key", "content_type", "value"),
    [
        ("image-1", "image/jpeg", b"jpeg"),
        ("STATE", "text/plain", b'{"count": 1}'),
        ("STATE", "application/json", b'{"count": "many"}'),
        ("STATE", "application/json", b"{}"),
        ("STATE", "application/json", b"no json"),
        ("STATE", "application/json", b""),
    ],
)
async def test_a_record_against_its_collection_is_refused(
    api: Client, key: str, content_type: str, value: bytes
):
    store_id = (await make_store(api, schema=COLLECTIONS))["id"]
    path = f"{STORES}/{store_id}/records/{key}"
    reply = await api.put(path, data=value, headers={"Content-Type": content_type})
    assert (reply.status, reply.error["type"]) == (400, "schema-validation-error")
    assert (await api.get(path)).status == 404


async def test_what_is_wrong_with_a_record_is_said(api: Client):
    store_id = (await make_store(api, schema=COLLECTIONS))["id"]
    path = f"{STORES}/{store_id}/records/STATE"
    reply = await api.put(path, json={"count": "many"})
    assert reply.error["data"]["validationErrors"][0]["instancePath"] == "/count"


async def test_a_signed_keys_url_works_without_a_token(api: Client, other: Client):
    store = await make_store(api)
    await put(api, store["id"], "key", b"123")
    assert f"{STORES}/{store['id']}/keys?" in store["keysPublicUrl"]
    page = (await other.get(store["keysPublicUrl"], token=None)).data
    record_url = page["items"][0]["recordPublicUrl"]
    assert (await other.get(record_url, token=None)).body == b"123"


async def test_signatures_are_those_of_the_official_client(api: Client, other: Client):
    store = await make_store(api)
    await put(api, store["id"], "it's(1)!", b"123")
    await put(api, store["id"], "secret")
    records = f"{STORES}/{store['id']}/records"
    secret = store["urlSigningSecretKey"]
    of_record = {"signature": create_hmac_signature(secret, "it's(1)!")}
    of_store = {"signature": create_storage_content_signature(store["id"], secret)}
    assert (await other.get(f"{records}/it's(1)!", params=of_record, token=None)).body == b"123"
    assert (await other.get(f"{records}/secret", params=of_record, token=None)).status == 403
    for path in ("/secret", ""):
        assert (await other.get(records + path, params=of_store, token=None)).status == 200
    page = await other.get(f"{STORES}/{store['id']}/keys", params=of_store, token=None)
    assert page.data["count"] == 2
    listed = (await api.get(f"{STORES}/{store['id']}/keys")).data["items"][0]["recordPublicUrl"]
    assert parse_qs(urlsplit(listed).query) == {"signature": [of_record["signature"]]}


async def test_a_signature_neither_writes_nor_outlives_itself(api: Client, other: Client):
    store = await make_store(api)
    await put(api, store["id"], "key")
    secret = store["urlSigningSecretKey"]
    path = f"{STORES}/{store['id']}"
    short = create_storage_content_signature(store["id"], secret, expires_in=timedelta(minutes=5))
    seen = (await other.get(path, params={"signature": short}, token=None)).data
    assert "urlSigningSecretKey" not in seen
    assert parse_qs(urlsplit(seen["keysPublicUrl"]).query) == {"signature": [short]}
    keys = (await other.get(f"{path}/keys", params={"signature": short}, token=None)).data
    assert parse_qs(urlsplit(keys["items"][0]["recordPublicUrl"]).query)["signature"] == [short]
    write = await other.put(f"{path}/records/key", params={"signature": short}, data=b"x")
    assert write.status == 403
    past = create_storage_content_signature(
        store["id"], secret, expires_in=timedelta(seconds=-5 - time.time() % 1)
    )
    assert (await other.get(f"{path}/keys", params={"signature": past}, token=None)).status == 403


async def test_a_store_open_to_anyone_is_read_by_id_only(api: Client, other: Client):
    store = await make_store(api)
    path = f"{STORES}/{store['id']}"
    await put(api, store["id"], "key", b"123")
    assert (await other.get(f"{path}/records/key")).status == 403
    await api.put(path, json={"generalAccess": "ANYONE_WITH_ID_CAN_READ"})
    assert (await other.get(f"{path}/records/key", token=None)).body == b"123"
    assert (await other.head(f"{path}/records/key", token=None)).status == 200
    assert (await other.put(f"{path}/records/key", data=b"x")).status == 403
    assert (await other.delete(f"{path}/records/key")).status == 403
    assert (await api.get(f"{path}/records/key")).body == b"123"
