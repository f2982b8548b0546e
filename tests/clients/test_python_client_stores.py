"""Key-value stores by the official Python client."""

import gzip
import io
from datetime import timedelta
from typing import Any

import pytest
from apify_client.errors import ForbiddenError, InvalidRequestError, NotFoundError

from tests.clients.python_client import done, every, opened, streamed
from tests.server import Client

NOT_ALLOWED = (
    r"^Insufficient permissions for the key-value store\. Make sure you're passing a correct API token "
    r"and that it has the required permissions\."
)


async def fresh(client: Any) -> Any:
    """A client of a fresh store."""
    return client.key_value_store((await done(client.key_value_stores().get_or_create())).id)


async def test_a_store_is_created_once_renamed_and_deleted(client: Any) -> None:
    stores = client.key_value_stores()
    first = await done(stores.get_or_create(name="kept"))
    assert (await done(stores.get_or_create(name="kept"))).id == first.id
    renamed = await done(client.key_value_store(first.id).update(name="other", title="Titled"))
    assert (renamed.name, renamed.title) == ("other", "Titled")
    assert [row.id for row in (await done(stores.list())).items] == [first.id]
    await done(client.key_value_store(first.id).delete())
    assert await done(client.key_value_store(first.id).get()) is None
    assert await every(stores.iterate(unnamed=True)) == []


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        ({"a": [1, None, "ř"]}, "application/json"),
        (None, "application/json"),
        ("plain words", "text/plain"),
        (b"\x00\x01\xff" * 1000, "application/octet-stream"),
        (["x" * 5000], "application/json"),
    ],
    ids=["object", "null", "text", "binary", "compressed"],
)
async def test_a_record_comes_back_as_it_was_set(
    client: Any, value: Any, content_type: str
) -> None:
    store = await fresh(client)
    await done(store.set_record("K", value))
    record = await done(store.get_record("K"))
    assert record["key"] == "K"
    assert record["content_type"].split(";")[0] == content_type
    assert record["value"] == value


async def test_the_type_of_a_record_is_the_callers(client: Any) -> None:
    store = await fresh(client)
    await done(store.set_record("page", "<p>ř</p>", content_type="text/html; charset=utf-8"))
    record = await done(store.get_record_as_bytes("page"))
    assert (record["value"], record["content_type"]) == (
        "<p>ř</p>".encode(),
        "text/html; charset=utf-8",
    )


async def test_a_record_is_found_by_its_odd_key_until_it_is_deleted(client: Any) -> None:
    store, key = await fresh(client), "(k)!'._-"
    await done(store.set_record(key, {"k": key}))
    assert (await done(store.get_record(key)))["value"] == {"k": key}
    assert await done(store.record_exists(key)) is True
    await done(store.delete_record(key))
    assert await done(store.record_exists(key)) is False
    assert await done(store.get_record(key)) is None


@pytest.mark.parametrize("key", ["a b", "a/b c", "ключ", "100%"])
async def test_a_key_with_other_characters_is_refused(client: Any, key: str) -> None:
    store = await fresh(client)
    with pytest.raises(InvalidRequestError) as caught:
        await done(store.set_record(key, 1))
    assert caught.value.type == "invalid-record-key"


@pytest.mark.filterwarnings("ignore:Streaming a request body is experimental")
async def test_a_record_is_streamed_in_and_out(client: Any) -> None:
    store = await fresh(client)
    content = bytes(range(256)) * 2000
    await done(store.set_record("big", io.BytesIO(content), content_type="image/png"))
    async with opened(store.stream_record("big")) as record:
        assert record["content_type"] == "image/png"
        assert await streamed(client, record["value"]) == content
    async with opened(store.stream_record("absent")) as nothing:
        assert nothing is None


async def test_a_record_keeps_the_encoding_it_came_in(client: Any, api: Client) -> None:
    store = await fresh(client)
    packed = gzip.compress(b'{"packed": true}')
    await done(
        store.set_record("packed", packed, content_type="application/json", content_encoding="gzip")
    )
    assert (await done(store.get_record("packed")))["value"] == {"packed": True}
    link = await done(store.get_record_public_url("packed"))
    raw = await api.get(link, token=None, headers={"Accept-Encoding": "gzip"})
    assert (raw.headers["Content-Encoding"], raw.body) == ("gzip", packed)


async def test_keys_are_listed_and_iterated(client: Any) -> None:
    store = await fresh(client)
    for n in range(5):
        await done(store.set_record(f"key-{n}", {"n": n}))
    await done(store.set_record("other", "x"))
    page = await done(store.list_keys(limit=2))
    assert [row.key for row in page.items] == ["key-0", "key-1"]
    assert (page.is_truncated, page.next_exclusive_start_key) == (True, "key-1")
    assert page.items[0].size > 0
    after = await done(store.list_keys(exclusive_start_key="key-3"))
    assert [row.key for row in after.items] == ["key-4", "other"]
    keys = [row.key for row in await every(store.iterate_keys(prefix="key-", chunk_size=2))]
    assert keys == [f"key-{n}" for n in range(5)]


async def test_what_is_absent_is_none_or_an_error(client: Any) -> None:
    store = client.key_value_store("absent")
    assert await done(store.get()) is None
    assert await done(store.get_record("K")) is None
    assert await done(store.record_exists("K")) is False
    with pytest.raises(NotFoundError):
        await done(store.set_record("K", 1))


async def test_a_signed_link_opens_one_record(client: Any, stranger: Any, api: Client) -> None:
    store = await fresh(client)
    await done(store.update(general_access="RESTRICTED"))
    await done(store.set_record("(open)", {"open": True}))
    await done(store.set_record("closed", {"open": False}))
    link = await done(store.get_record_public_url("(open)"))
    reply = await api.get(link, token=None)
    assert (reply.status, reply.json) == (200, {"open": True})
    signature = link.partition("signature=")[2]
    their = stranger.key_value_store((await done(store.get())).id)
    with pytest.raises(ForbiddenError, match=NOT_ALLOWED):
        await done(their.get_record("closed", signature=signature))


async def test_a_signed_link_lists_keys_until_it_ends(client: Any, api: Client) -> None:
    store = await fresh(client)
    await done(store.update(general_access="RESTRICTED"))
    await done(store.set_record("K", 1))
    link = await done(store.create_keys_public_url(expires_in=timedelta(hours=1), limit=5))
    assert [row["key"] for row in (await api.get(link, token=None)).data["items"]] == ["K"]
    ended = await done(store.create_keys_public_url(expires_in=timedelta(milliseconds=-1)))
    assert (await api.get(ended, token=None)).status == 403
