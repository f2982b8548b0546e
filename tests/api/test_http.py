"""What all endpoints have in common: tokens, methods, bodies, codings, pages, error words."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest

from tests.server import Client, Server

MAX_BODY_BYTES = 9_437_184
DEEP = 5000


def error_of(reply: Any) -> tuple[int, str]:
    return reply.status, reply.error["type"]


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"Authorization": "Bearer {token}"}, {}),
        ({"authorization": "bearer   {token} "}, {}),
        ({}, {"token": "{token}"}),
    ],
    ids=["bearer", "lower case", "query"],
)
async def test_a_token_comes_in_a_header_or_in_the_query(
    api: Client, headers: dict[str, str], params: dict[str, str]
):
    reply = await api.get(
        "/v2/users/me",
        token=None,
        headers={name: value.format(token=api.token) for name, value in headers.items()},
        params={name: value.format(token=api.token) for name, value in params.items()},
    )
    assert reply.data["username"] == api.username


async def test_a_missing_and_a_wrong_token_are_told_apart(api: Client):
    assert error_of(await api.get("/v2/actor-runs", token=None)) == (401, "token-not-provided")
    assert error_of(await api.get("/v2/actor-runs", token="wrong")) == (401, "invalid-token")


async def test_an_unknown_path_is_a_page_not_found(api: Client):
    for path in ("/v2/nowhere", "/v3/acts", "/v2/actor-runs/a/b/c/d", "/"):
        assert error_of(await api.get(path)) == (404, "page-not-found"), path


async def test_a_wrong_method_is_told_which_ones_there_are(api: Client):
    reply = await api.put("/v2/datasets")
    assert error_of(reply) == (405, "method-not-allowed")
    assert reply.headers["Allow"] == "OPTIONS,GET,POST"
    assert reply.error["message"].endswith("OPTIONS,GET,POST")


async def test_a_get_may_stand_for_any_method(api: Client):
    created = await api.get("/v2/datasets", params={"method": "POST", "name": "by-get"})
    assert (created.status, created.data["name"]) == (201, "by-get")
    path = f"/v2/datasets/{created.data['id']}"
    assert (await api.get(path, params={"method": "delete"})).status == 204
    assert error_of(await api.get(path)) == (404, "record-not-found")


async def test_only_a_get_may_stand_for_another_method(api: Client):
    dataset = (await api.post("/v2/datasets")).data["id"]
    path = f"/v2/datasets/{dataset}"
    assert error_of(await api.post(path, params={"method": "DELETE"})) == (
        405,
        "method-not-allowed",
    )
    assert (await api.get(path)).status == 200


async def test_a_method_in_the_query_needs_the_same_token(api: Client):
    dataset = (await api.post("/v2/datasets")).data["id"]
    reply = await api.get(f"/v2/datasets/{dataset}", params={"method": "DELETE"}, token=None)
    assert error_of(reply) == (401, "token-not-provided")


async def test_browsers_may_call_from_anywhere_but_without_credentials(api: Client):
    asked = {"Access-Control-Request-Headers": "authorization,content-type"}
    preflight = await api.request("OPTIONS", "/v2/datasets", token=None, headers=asked)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Methods"] == "OPTIONS,GET,POST"
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    reply = await api.get("/v2/datasets", headers={"Origin": "https://example.com"})
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("br", brotli.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("GZIP", gzip.compress),
    ],
    ids=["identity", "gzip", "br", "zlib", "bare deflate", "upper case"],
)
async def test_bodies_are_inflated(api: Client, coding: str, pack: Any):
    body = json.dumps({"title": "packed" * 300}).encode()
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    reply = await api.post("/v2/datasets", data=pack(body), headers=headers)
    assert reply.data["title"] == "packed" * 300


async def test_unknown_and_wrong_codings_are_refused(api: Client):
    path, body = "/v2/datasets", b'{"title": "x"}'
    unknown = await api.post(path, data=body, headers={"Content-Encoding": "zstd"})
    assert error_of(unknown) == (415, "unsupported-content-encoding")
    for wrong in (body, gzip.compress(body)[:-6]):
        reply = await api.post(path, data=wrong, headers={"Content-Encoding": "gzip"})
        assert error_of(reply) == (400, "invalid-content")


async def test_a_body_that_inflates_beyond_the_limit_is_refused(api: Client):
    bomb = gzip.compress(bytes(30 * 2**20))
    reply = await api.post("/v2/datasets", data=bomb, headers={"Content-Encoding": "gzip"})
    assert error_of(reply) == (413, "request-too-large")


async def test_a_body_over_the_limit_is_refused_with_both_lengths(api: Client):
    reply = await api.post("/v2/datasets", data=bytes(MAX_BODY_BYTES + 1))
    assert error_of(reply) == (413, "request-too-large")
    assert f"{MAX_BODY_BYTES} bytes" in reply.error["message"]
    assert f"{MAX_BODY_BYTES + 1} bytes" in reply.error["message"]


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(server: Server, api: Client):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = "POST /v2/datasets HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    writer.write(f"{head}Authorization: Bearer {api.token}\r\n\r\n".encode())
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    for _ in range(10):  # and it never ends
        writer.write(chunk)
    async with asyncio.timeout(20):
        status = await reader.readline()
    writer.close()
    assert b" 413 " in status


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"title": 1}', b"[" * DEEP, b'{"a":' * DEEP],
    ids=["cut", "array", "text", "not utf-8", "wrong type", "deep array", "deep object"],
)
async def test_a_body_that_makes_no_sense_is_the_clients_fault(api: Client, body: bytes):
    headers = {"Content-Type": "application/json"}
    reply = await api.post("/v2/actor-tasks", data=body, headers=headers)
    assert reply.status == 400


@pytest.mark.parametrize("depth", [50, 300, 600, 800, 900, 940, 960, 970, 980, 990])
async def test_what_can_be_stored_can_be_read_again(api: Client, depth: int):
    nested = b'{"schema":' + b"[" * depth + b"]" * depth + b"}"
    created = await api.post(
        "/v2/datasets", data=nested, headers={"Content-Type": "application/json"}
    )
    assert created.status in (201, 400)
    if created.status == 201:
        assert (await api.get(f"/v2/datasets/{created.data['id']}")).status == 200
    assert (await api.get("/v2/datasets", params={"unnamed": 1})).status == 200


@pytest.mark.parametrize(
    "value", ["-1", "1.5", "abc", "nan", "inf", "1e300", "99999999999999999999", "0x10", "१"]
)
@pytest.mark.parametrize("name", ["offset", "limit"])
async def test_a_strange_number_is_never_a_server_error(api: Client, name: str, value: str):
    reply = await api.get("/v2/actor-runs", params={name: value})
    assert reply.status in (200, 400), reply.body


async def test_pages_are_cut_by_offset_and_limit(api: Client):
    ids = [(await api.post("/v2/datasets", params={"name": f"n{i}"})).data["id"] for i in range(4)]
    page = (await api.get("/v2/datasets", params={"offset": 1, "limit": 2})).data
    assert [row["id"] for row in page["items"]] == ids[1:3]
    told = {name: page[name] for name in ("total", "offset", "limit", "count", "desc")}
    assert told == {"total": 4, "offset": 1, "limit": 2, "count": 2, "desc": False}
    newest = (await api.get("/v2/datasets", params={"desc": 1, "limit": 1})).data
    assert (newest["items"][0]["id"], newest["desc"]) == (ids[3], True)
    assert (await api.get("/v2/datasets", params={"limit": 5000})).data["limit"] == 1000


async def test_every_answer_names_its_request(api: Client):
    first, second = await api.get("/v2/users/me"), await api.get("/v2/nowhere")
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


async def test_every_answer_tells_the_rate_of_its_resource(api: Client):
    dataset = (await api.post("/v2/datasets")).data["id"]
    store = (await api.post("/v2/key-value-stores")).data["id"]
    usual = await api.get(f"/v2/datasets/{dataset}")
    pushed = await api.post(f"/v2/datasets/{dataset}/items", json={})
    missing = await api.get(f"/v2/key-value-stores/{store}/records/A")
    rates = [reply.headers["X-RateLimit-Limit"] for reply in (usual, pushed, missing)]
    assert rates == ["60", "400", "200"]


async def test_a_client_beyond_the_rate_is_told_to_come_back(new_server: Callable[..., Server]):
    server = new_server(rate_limits="on", rate_per_second="3")
    async with Client(server.url, server.token, "admin") as api:
        replies = await asyncio.gather(*[api.get("/v2/users/me") for _ in range(20)])
        refused = [reply for reply in replies if reply.status == 429]
        assert len(refused) >= 10
        assert error_of(refused[0]) == (429, "rate-limit-exceeded")
        assert (refused[0].headers["X-RateLimit-Limit"], refused[0].headers["Retry-After"]) == (
            "3",
            "1",
        )
        assert (await api.get("/v2/datasets")).status == 200
