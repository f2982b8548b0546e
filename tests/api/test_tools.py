"""The echo of a request, and signed values."""

import pytest

from tests.server import Client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_browser_info_tells_what_was_sent(api: Client, method: str):
    reply = await api.request(
        method, "/v2/browser-info", token=None, headers={"X-Mark": "yes"}, data=b"12345"
    )
    assert reply.json["method"] == method
    assert reply.json["bodyLength"] == 5
    assert reply.json["headers"]["x-mark"] == "yes"
    assert reply.json["clientIp"] == "127.0.0.1"
    assert reply.json["countryCode"] is None


async def test_browser_info_can_leave_out_headers_or_give_them_raw(api: Client):
    params = {"skipHeaders": 1, "rawHeaders": "true"}
    info = (await api.get("/v2/browser-info", params=params, headers={"X-Mark": "yes"})).json
    assert "headers" not in info
    names = [name.lower() for name in info["rawHeaders"][::2]]
    assert info["rawHeaders"][2 * names.index("x-mark") + 1] == "yes"


async def test_a_signed_value_comes_back_with_who_signed_it(api: Client):
    value = {"a": [1, None, "ž"], "b": {}}
    encoded = (await api.post("/v2/tools/encode-and-sign", json=value)).data["encoded"]
    reply = await api.post("/v2/tools/decode-and-verify", json={"encoded": encoded}, token=None)
    me = (await api.get("/v2/users/me")).data
    assert reply.data == {"decoded": value, "encodedByUserId": me["id"], "isVerifiedUser": True}


async def test_a_changed_value_is_refused(api: Client):
    encoded = (await api.post("/v2/tools/encode-and-sign", json={"a": 1})).data["encoded"]
    meta, body, signature = encoded.split(".")
    for changed in (
        f"{meta}.{meta}.{signature}",
        f"{meta}.{body}.",
        encoded[:-1],
        "",
        "..",
        "é.é.é",
    ):
        reply = await api.post("/v2/tools/decode-and-verify", json={"encoded": changed})
        assert (reply.status, reply.error["type"]) == (400, "invalid-value"), changed


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b'"text"'])
async def test_only_objects_are_signed(api: Client, body: bytes):
    reply = await api.post("/v2/tools/encode-and-sign", data=body)
    assert reply.status == 400
