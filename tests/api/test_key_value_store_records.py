"""Records over HTTP: exact bytes in and out, codings, parts, conditions, archives."""

import asyncio
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from apify_client import ApifyClientAsync

from tests.server import Client, Reply, Server

STORES = "/v2/key-value-stores"
LIMIT = 9_437_184
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 3
HTML = b"<!doctype html><script>alert(1)</script>\r\n<p>caf\xc3\xa9" + b"<p>more" * 500
ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}


@pytest.fixture
async def records(api: Client) -> str:
    """Path of the records of a fresh store."""
    store = (await api.post(STORES)).data
    return f"{STORES}/{store['id']}/records"


async def put(
    api: Client, path: str, value: bytes, type_: str = "text/plain", **headers: str
) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    data = io.BytesIO(value) if len(value) > 500_000 else value
    return await api.put(path, data=data, headers={"Content-Type": type_, **named})


def accepting(coding: str) -> dict[str, str]:
    return {"Accept-Encoding": coding}


@pytest.mark.parametrize(
    ("content_type", "value"),
    [
        ("application/json", b'{"z": 1,  "a" : [ 1.50, "\\u00e9" ] }\n'),
        ("application/json; charset=utf-8", b"not json at all"),
        ("text/html; charset=iso-8859-2", HTML),
        ("text/plain", b""),
        ("image/png", PNG),
        ('application/x-thing;v="1"', bytes(range(256)) * 1000),
        ("application/octet-stream", bytes(LIMIT)),
    ],
    ids=["json", "no-json", "html", "empty", "png", "blob", "largest"],
)
async def test_a_record_comes_back_byte_for_byte(
    api: Client, records: str, content_type: str, value: bytes
):
    written = await put(api, f"{records}/key", value, content_type)
    assert (written.status, written.body) == (201, b"{}")
    assert written.headers["Location"] == f"{api.url}{records}/key"
    for params in ({}, {"attachment": "true"}):
        read = await api.get(f"{records}/key", params=params)
        assert (read.status, read.body == value) == (200, True)
        assert read.headers["Content-Type"] == content_type
        assert read.headers["Content-Length"] == str(len(value))
        assert "Content-Encoding" not in read.headers


@pytest.mark.parametrize("coding", ENCODERS)
@pytest.mark.parametrize("times", [1, 400], ids=["small", "large"])
async def test_a_compressed_record_is_kept_as_sent(
    api: Client, records: str, coding: str, times: int
):
    value = json.dumps([{"number": n * 7919 % 10007} for n in range(300)]).encode() * times
    encoded = ENCODERS[coding](value)
    await put(api, f"{records}/key", encoded, "application/json", Content_Encoding=coding)

    kept = await api.get(f"{records}/key", headers=accepting(f"zstd, {coding}"))
    assert (kept.body == encoded, kept.headers["Content-Encoding"]) == (True, coding)
    assert kept.headers["Content-Length"] == str(len(encoded))
    for header in ("identity", f"{coding};q=0, zstd"):
        plain = await api.get(f"{records}/key", headers=accepting(header))
        assert (plain.body == value, "Content-Encoding" in plain.headers) == (True, False)
    assert {kept.headers["Vary"], plain.headers["Vary"]} == {"Accept-Encoding"}
    assert kept.headers["ETag"] != plain.headers["ETag"]
    listed = (await api.get(records.replace("/records", "/keys"))).data["items"][0]
    assert listed["size"] == len(encoded)


async def test_a_large_compressed_blob_is_inflated_while_it_is_sent(api: Client, records: str):
    value = b"".join(b"%d," % (n * n % 999983) for n in range(1_500_000))
    encoded = gzip.compress(value, 1)
    assert len(encoded) > 1_000_000
    await put(api, f"{records}/key", encoded, Content_Encoding="gzip")
    assert (await api.get(f"{records}/key")).body == value


async def test_a_record_without_a_type_is_plain_bytes(api: Client, records: str):
    await api.put(f"{records}/key", data=b"\x00\x01")
    assert (await api.get(f"{records}/key")).headers["Content-Type"] == "application/octet-stream"


async def test_post_does_what_put_does(api: Client, records: str):
    reply = await api.post(f"{records}/key", data=b"posted", headers={"Content-Type": "text/x"})
    assert (reply.status, reply.body) == (201, b"{}")
    assert (await api.get(f"{records}/key")).body == b"posted"


@pytest.mark.parametrize("coding", ENCODERS)
@pytest.mark.parametrize(
    "body", [b"plain text", b"\x1f\x8b", b"\x00" * 99], ids=["text", "cut", "zeros"]
)
async def test_a_body_that_is_not_in_its_coding_is_refused(
    api: Client, records: str, coding: str, body: bytes
):
    reply = await put(api, f"{records}/key", body, Content_Encoding=coding)
    assert (reply.status, reply.error["type"]) == (400, "invalid-content")
    assert (await api.get(f"{records}/key")).status == 404


async def test_an_unknown_coding_is_refused(api: Client, records: str):
    reply = await put(api, f"{records}/key", b"x", Content_Encoding="zstd")
    assert (reply.status, reply.error["type"]) == (415, "unsupported-content-encoding")


async def test_a_body_above_the_limit_is_refused(api: Client, records: str):
    reply = await put(api, f"{records}/key", bytes(LIMIT + 1))
    assert (reply.status, reply.error["type"]) == (413, "request-too-large")
    assert str(LIMIT) in reply.error["message"]


async def test_a_bomb_is_refused(api: Client, records: str):
    zeros = gzip.compress(bytes(64 * 1024 * 1024), 1)
    reply = await put(api, f"{records}/key", zeros * 9, Content_Encoding="gzip")
    assert (reply.status, reply.error["type"]) == (413, "record-too-large")


@pytest.mark.parametrize("key", ["a'b", "(x)!", "a.b-c_d", "...", "-", "k" * 256, "INPUT"])
async def test_any_key_of_the_alphabet_works(api: Client, records: str, key: str):
    quoted = "".join(f"%{ord(letter):02X}" for letter in key)
    assert (await put(api, f"{records}/{quoted}", b"value")).status == 201
    assert (await api.get(f"{records}/{quoted}")).body == b"value"
    listed = (await api.get(records.replace("/records", "/keys"))).data["items"]
    assert [item["key"] for item in listed] == [key]
    assert (await api.delete(f"{records}/{quoted}")).status == 204


@pytest.mark.parametrize(
    "key", ["a%20b/c", "a/b", "k" * 257, "%C3%A9", "a%00", "a%0A", "a+b", "a%2Fb", "~", "%FF"]
)
async def test_a_key_outside_the_alphabet_is_refused(api: Client, records: str, key: str):
    path = f"{records}/{key}"
    replies = [await put(api, path, b"x"), await api.get(path), await api.delete(path)]
    assert {(reply.status, reply.error["type"]) for reply in replies} == {
        (400, "invalid-record-key")
    }
    assert (await api.head(path)).status == 400


async def test_head_tells_type_and_size(api: Client, records: str):
    await put(api, f"{records}/small", b"12345", "image/png")
    await put(api, f"{records}/large", bytes(100_000), "image/png")
    await put(api, f"{records}/packed", gzip.compress(b"12345"), Content_Encoding="gzip")
    for key, size in (("small", "5"), ("large", "100000")):
        reply = await api.head(f"{records}/{key}")
        assert (reply.status, reply.body) == (200, b"")
        assert (reply.headers["Content-Type"], reply.headers["Content-Length"]) == (
            "image/png",
            size,
        )
        assert reply.headers["ETag"] == (await api.get(f"{records}/{key}")).headers["ETag"]
    assert "Content-Length" not in (await api.head(f"{records}/packed")).headers
    packed = await api.head(f"{records}/packed", headers=accepting("gzip"))
    assert packed.headers["Content-Encoding"] == "gzip"
    assert (await api.head(f"{records}/none")).status == 404


async def test_a_missing_record_is_not_found(api: Client, records: str):
    reply = await api.get(f"{records}/none")
    assert (reply.status, reply.error["type"]) == (404, "record-not-found")


async def test_deleting_is_harmless_when_there_is_nothing(api: Client, records: str):
    await put(api, f"{records}/key", b"x")
    for _ in range(2):
        reply = await api.delete(f"{records}/key")
        assert (reply.status, reply.body) == (204, b"")
    assert (await api.get(f"{records}/key")).status == 404


@pytest.mark.parametrize("sizes", [(10, 100_000), (100_000, 10), (70_000, 70_001)])
async def test_overwriting_replaces_value_type_and_coding(
    api: Client, records: str, sizes: tuple[int, int]
):
    first, second = (bytes([number]) * size for number, size in enumerate(sizes))
    await put(api, f"{records}/key", gzip.compress(first, 0), "image/png", Content_Encoding="gzip")
    await put(api, f"{records}/key", second, "text/plain")
    read = await api.get(f"{records}/key", headers=accepting("gzip"))
    assert (read.body == second, read.headers["Content-Type"]) == (True, "text/plain")
    assert "Content-Encoding" not in read.headers


@pytest.mark.parametrize("size", [1000, 200_000], ids=["row", "blob"])
async def test_a_known_record_is_not_sent_again(api: Client, records: str, size: int):
    await put(api, f"{records}/key", bytes(size))
    etag = (await api.get(f"{records}/key")).headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        reply = await api.get(f"{records}/key", headers={"If-None-Match": known})
        assert (reply.status, reply.body, reply.headers["ETag"]) == (304, b"", etag)
    await put(api, f"{records}/key", b"\x01" + bytes(size - 1))
    reply = await api.get(f"{records}/key", headers={"If-None-Match": etag})
    assert (reply.status, len(reply.body)) == (200, size)


@pytest.mark.parametrize("size", [1000, 200_000], ids=["row", "blob"])
@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=990-", 990, None),
        ("bytes=-7", -7, None),
        ("bytes=5-999999999", 5, None),
        ("bytes=-999999999", 0, None),
    ],
)
async def test_a_part_of_a_record_can_be_asked_for(
    api: Client, records: str, size: int, header: str, start: int, end: int | None
):
    value = (b"0123456789" * (size // 10))[:size]
    await put(api, f"{records}/key", value, "video/mp4")
    reply = await api.get(f"{records}/key", headers={"Range": header})
    assert (reply.status, reply.body == value[start:end]) == (206, True)
    first = start % size
    last = first + len(reply.body) - 1
    assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{size}"


@pytest.mark.parametrize(
    "header", ["bytes=", "bytes=-", "bytes=9-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b"]
)
async def test_a_range_that_is_not_understood_gives_everything(
    api: Client, records: str, header: str
):
    await put(api, f"{records}/key", b"0123456789")
    reply = await api.get(f"{records}/key", headers={"Range": header})
    assert (reply.status, reply.body) == (200, b"0123456789")


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
async def test_a_range_outside_the_record_is_refused(api: Client, records: str, header: str):
    await put(api, f"{records}/key", b"0123456789")
    reply = await api.get(f"{records}/key", headers={"Range": header})
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */10")


async def test_a_part_of_a_changed_record_is_not_mixed_with_the_old(api: Client, records: str):
    await put(api, f"{records}/key", b"0123456789")
    etag = (await api.get(f"{records}/key")).headers["ETag"]
    headers = {"Range": "bytes=5-", "If-Range": etag}
    assert (await api.get(f"{records}/key", headers=headers)).body == b"56789"
    await put(api, f"{records}/key", b"abcdefghij")
    assert (await api.get(f"{records}/key", headers=headers)).body == b"abcdefghij"


async def test_pages_among_records_are_shown_in_a_sandbox(api: Client, records: str):
    for type_ in ("text/html", "image/svg+xml", "application/pdf, text/html", "application/xml"):
        await put(api, f"{records}/page", HTML, type_)
        shown = await api.get(f"{records}/page")
        assert shown.body == HTML
        assert shown.headers["Content-Security-Policy"] == "sandbox"
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
    saved = await api.get(f"{records}/page", params={"attachment": "1"})
    assert saved.headers["Content-Disposition"] == 'attachment; filename="page"'


@pytest.mark.parametrize("name", ["<page>", 'a"b'])
async def test_a_content_type_is_only_a_header(api: Client, records: str, name: str):
    await put(api, f"{records}/key", b"x", f"text/{name}")
    assert (await api.get(f"{records}/key")).headers["Content-Type"] == f"text/{name}"


async def test_a_content_type_beyond_reason_is_refused(api: Client, records: str):
    reply = await put(api, f"{records}/key", b"x", "text/" + "x" * 600)
    assert (reply.status, reply.error["type"]) == (415, "invalid-content-type-header")


async def archive(api: Client, records: str, **params: Any) -> dict[str, bytes]:
    reply = await api.get(records, params=params)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.body)) as files:
        assert files.testzip() is None
        return {name: files.read(name) for name in files.namelist()}


async def test_all_records_come_as_one_archive(api: Client, records: str):
    large = bytes(range(256)) * 8000
    await put(api, f"{records}/small", b"text")
    await put(api, f"{records}/empty", b"")
    await put(api, f"{records}/large", large)
    await put(api, f"{records}/packed", gzip.compress(large), Content_Encoding="gzip")
    assert await archive(api, records) == {
        "empty": b"",
        "large": large,
        "packed": large,
        "small": b"text",
    }
    assert await archive(api, records, prefix="smal") == {"small": b"text"}
    assert await archive(api, records, prefix="none") == {}


async def test_an_archive_holds_more_than_a_page_of_records(api: Client, records: str):
    keys = [f"key-{number:03d}" for number in range(150)]
    await asyncio.gather(*(put(api, f"{records}/{key}", key.encode()) for key in keys))
    assert await archive(api, records) == {key: key.encode() for key in keys}


async def test_a_reader_always_gets_a_whole_record(api: Client, records: str):
    """While a large record is overwritten again and again, with another size each time."""
    values = {bytes([number]) * (80_000 + number * 1000) for number in range(30)}
    await put(api, f"{records}/key", next(iter(values)))

    async def write() -> None:
        for value in values:
            await put(api, f"{records}/key", value)

    async def read() -> bool:
        replies = [await api.get(f"{records}/key") for _ in range(40)]
        return all(reply.status == 200 and reply.body in values for reply in replies)

    _, *are_whole = await asyncio.gather(write(), *(read() for _ in range(4)))
    assert all(are_whole)


async def test_parallel_writers_leave_the_counters_right(api: Client, records: str):
    async def write(number: int) -> None:
        await put(api, f"{records}/shared", b"x" * (number + 1))
        await put(api, f"{records}/own-{number}", b"y" * 10)

    await asyncio.gather(*(write(number) for number in range(40)))
    shared = len((await api.get(f"{records}/shared")).body)
    stats = (await api.get(records.removesuffix("/records"))).data["stats"]
    assert (stats["writeCount"], stats["storageBytes"]) == (80, shared + 400)


async def test_what_was_answered_survives_the_servers_death(new_server: Callable[..., Server]):
    server = new_server()
    values = {"small": b"text", "large": PNG * 500}
    async with Client(server.url, server.token, "admin") as api:
        store_id = (await api.post(STORES)).data["id"]
        for key, value in values.items():
            assert (await put(api, f"{STORES}/{store_id}/records/{key}", value)).status == 201
        server.kill()
        server.start()
        for key, value in values.items():
            assert (await api.get(f"{STORES}/{store_id}/records/{key}")).body == value


async def test_the_official_client_reads_what_it_wrote(api: Client):
    client = ApifyClientAsync(api.token, api_url=api.url, api_public_url=api.url)
    made = await client.key_value_stores().get_or_create(name="from-client")
    store = client.key_value_store(made.id)
    rows = [{"row": number, "text": "čeština" * 3} for number in range(500)]
    await store.set_record("rows", rows)
    await store.set_record("page.html", HTML.decode(), content_type="text/html")
    await store.set_record("image", PNG * 50, content_type="image/png")
    packed = gzip.compress(HTML)
    await store.set_record("packed", packed, content_type="text/css", content_encoding="gzip")

    assert (await value_of(store, "rows")) == rows
    assert (await value_of(store, "page.html")) == HTML.decode()
    assert (await value_of(store, "image")) == PNG * 50
    assert (await value_of(store, "packed")) == HTML.decode()
    assert [item.key async for item in store.iterate_keys()] == [
        "image",
        "packed",
        "page.html",
        "rows",
    ]
    assert (await store.record_exists("rows"), await store.record_exists("none")) == (True, False)
    assert await store.get_record("none") is None
    await store.delete_record("rows")
    assert await store.record_exists("rows") is False
    url = await store.get_record_public_url("image")
    assert (await api.get(url, token=None)).body == PNG * 50


async def value_of(store: Any, key: str) -> Any:
    record = await store.get_record(key)
    assert record is not None
    return record["value"]
