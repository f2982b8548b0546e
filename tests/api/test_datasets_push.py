"""Pushing items: what is taken, what is refused, and that what is taken is kept as it came."""

import asyncio
import gzip
import json
import zlib

import brotli
import pytest

from tests.api.dataset_client import DatasetClient
from tests.server import Client

SCHEMA = {
    "actorSpecification": 1,
    "fields": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "price": {"type": "number", "minimum": 0}},
        "required": ["name"],
    },
    "views": {},
}


async def test_one_object_is_one_item(api: Client):
    dataset = await DatasetClient.create(api)
    reply = await dataset.send(b'{"a":1}')
    assert (reply.status, reply.body) == (201, b"{}")
    assert reply.headers["Location"] == f"{api.url}{dataset.path}/items"
    assert await dataset.items() == [{"a": 1}]


async def test_an_empty_array_adds_nothing(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push([])
    assert await dataset.items() == []


async def test_items_come_back_as_the_text_they_were_sent_in(api: Client):
    dataset = await DatasetClient.create(api)
    items = [
        b'{ "b" : 1.50, "a":12345678901234567890123, "a": "\\u00e9/\\/" }',
        b'{"__proto__":{"x":1},"constructor":1e400,"":-0.0}',
    ]
    await dataset.push(b" [\n" + b" ,\t".join(items) + b"]\r\n")
    assert (await dataset.read()).body == b"[" + b",".join(items) + b"]"
    assert (await dataset.read(format="jsonl")).body == b"\n".join(items) + b"\n"


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("br", brotli.compress), ("deflate", zlib.compress)],
)
async def test_compressed_bodies_are_inflated(api: Client, coding, compress):
    dataset = await DatasetClient.create(api)
    body = compress(json.dumps([{"text": "x" * 2000}] * 20).encode())
    assert (await dataset.send(body, **{"Content-Encoding": coding})).status == 201
    assert (await dataset.info())["itemCount"] == 20


@pytest.mark.parametrize(
    "body",
    [b"1", b'"x"', b"null", b"true", b"[1]", b'[{"a":1},"x"]', b"[[{}]]", b"[{},null]"],
)
async def test_what_is_not_an_object_is_refused_with_all_that_came_along(api: Client, body: bytes):
    dataset = await DatasetClient.create(api)
    reply = await dataset.send(body)
    assert (reply.status, reply.error["type"]) == (400, "invalid-request")
    assert (await dataset.info())["itemCount"] == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[{}", id="unfinished"),
        pytest.param(b'{"a":1}{"a":2}', id="two-documents"),
        pytest.param(b'{"a":NaN}', id="not-a-number"),
        pytest.param(b'{"a":"\xff\xfe"}', id="not-utf-8"),
        pytest.param(b'{"\xed\xa0\x80":1}', id="surrogate-bytes"),
        pytest.param(b'{"a":"line\nbreak"}', id="bare-line-break"),
        pytest.param(b'{"a":' + b"[" * 3_000_000, id="open-brackets"),
        pytest.param(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", id="deep-array"),
        pytest.param(b'{"a":' * 450 + b"1" + b"}" * 450, id="deep-object"),
    ],
)
async def test_hostile_bodies_are_refused(api: Client, body: bytes):
    dataset = await DatasetClient.create(api)
    reply = await dataset.send(body)
    assert (reply.status, reply.error["type"]) == (400, "invalid-request")
    assert (await dataset.info())["itemCount"] == 0


async def test_brackets_in_strings_are_not_depth(api: Client):
    dataset = await DatasetClient.create(api)
    item = {"text": "[{" * 2000 + '"\\', "wide": [[]] * 1000}
    await dataset.push(item)
    assert await dataset.items() == [item]


async def test_a_string_cut_between_surrogates_is_mended(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push(b'{"cut":"\\ud83d","whole":"\\ud83d\\ude00","text":"\\\\ud83d"}')
    assert await dataset.items() == [{"cut": "\ufffd", "whole": "😀", "text": "\\ud83d"}]


async def test_a_body_over_the_limit_is_too_large(api: Client):
    dataset = await DatasetClient.create(api)
    reply = await dataset.send(b'{"a":"' + b"x" * 9_437_184 + b'"}')
    assert (reply.status, reply.error["type"]) == (413, "request-too-large")


async def test_pushes_at_the_same_time_leave_no_gaps_and_do_not_mix(api: Client):
    dataset = await DatasetClient.create(api)
    pushes = [[{"push": push, "n": n} for n in range(push % 7 + 1)] for push in range(60)]
    await asyncio.gather(*[dataset.push(items) for items in pushes])
    stored = await dataset.items()
    assert len(stored) == (await dataset.info())["itemCount"] == sum(map(len, pushes))
    starts = [at for at, item in enumerate(stored) if item["n"] == 0]
    assert sorted(stored[at]["push"] for at in starts) == list(range(60))
    for at in starts:
        items = pushes[stored[at]["push"]]
        assert stored[at : at + len(items)] == items


async def test_many_items_in_one_push_keep_their_order(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push([{"n": n} for n in range(5000)])
    assert [item["n"] for item in await dataset.items(offset=4990)] == list(range(4990, 5000))


async def test_items_are_held_to_the_schema_all_or_none(api: Client):
    dataset = await DatasetClient.create(api, schema=SCHEMA)
    await dataset.push([{"name": "ok", "price": 1, "more": [1]}])
    reply = await dataset.send(b'[{"name":"fine"},{"name":7},{"name":"x","price":-1},{}]')
    assert (reply.status, reply.error["type"]) == (400, "schema-validation-error")
    assert reply.error["message"] == "Schema validation failed"
    invalid = reply.error["data"]["invalidItems"]
    assert [item["itemPosition"] for item in invalid] == [1, 2, 3]
    assert invalid[0]["validationErrors"] == [
        {
            "instancePath": "/1/name",
            "schemaPath": "/items/properties/name/type",
            "keyword": "type",
            "params": {"type": "string"},
            "message": "must be string",
        }
    ]
    assert (await dataset.info())["itemCount"] == 1


@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
async def test_a_number_beyond_all_bounds_breaks_a_schema_but_not_the_server(api: Client, number):
    dataset = await DatasetClient.create(api, schema=SCHEMA)
    reply = await dataset.send(b'{"name":"x","price":%s}' % number.encode())
    assert (reply.status, reply.error["type"]) == (400, "schema-validation-error")
    assert (await dataset.send(b'{"name":"x","price":9}')).status == 201


async def test_a_schema_says_itself_which_draft_it_is(api: Client):
    tuples = {"type": "object", "properties": {"t": {"prefixItems": [{"type": "string"}]}}}
    newer = {"$schema": "https://json-schema.org/draft/2020-12/schema", **tuples}
    by_default = await DatasetClient.create(api, schema={"fields": tuples})
    assert (await by_default.send(b'{"t":[1]}')).status == 201  # draft-07 knows no prefixItems
    by_choice = await DatasetClient.create(api, schema={"fields": newer})
    assert (await by_choice.send(b'{"t":[1]}')).status == 400


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param([], id="not-an-object"),
        pytest.param({"fields": {"type": "nonsense"}}, id="unknown-type"),
        pytest.param({"fields": {"properties": {"a": {"pattern": "("}}}}, id="bad-pattern"),
        pytest.param({"fields": {"$ref": "http://127.0.0.1:9/x.json"}}, id="remote"),
        pytest.param({"fields": {"$ref": "file:///etc/passwd"}}, id="file"),
        pytest.param({"fields": {"$schema": "http://example.com/x"}}, id="unknown-draft"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused(api: Client, schema):
    created = await api.post("/v2/datasets", json={"schema": schema})
    assert (created.status, created.error["type"]) == (400, "invalid-value")
    dataset = await DatasetClient.create(api)
    changed = await api.put(dataset.path, json={"schema": schema})
    assert (changed.status, changed.error["type"]) == (400, "invalid-value")


async def test_a_changed_schema_holds_from_the_next_push_on(api: Client):
    dataset = await DatasetClient.create(api, {"anything": 1})
    await api.put(dataset.path, json={"schema": SCHEMA})
    assert (await dataset.send(b'{"name":1}')).status == 400
    looser = {"fields": {"properties": {"name": {"type": ["string", "number"]}}}}
    await api.put(dataset.path, json={"schema": looser})
    assert (await dataset.send(b'{"name":1}')).status == 201
    assert (await dataset.send(b'{"name":null}')).status == 400
    await api.put(dataset.path, json={"schema": None})
    assert (await dataset.send(b'{"name":null}')).status == 201


async def test_field_names_are_remembered_within_bounds(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push({f"field{n}": n for n in range(2500)} | {"x" * 300: 1})
    await dataset.push({"late": 1})
    fields = (await dataset.info())["fields"]
    assert fields == [f"field{n}" for n in range(2000)]
