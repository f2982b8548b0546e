"""Container URLs: HTTP and websockets reach the web server of a run, and come back, as they are."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from bench.memory import peak_mbytes

from tests.actors import ActorMaker
from tests.server import Client, Server

WEB_SERVER = (Path(__file__).parents[1] / "conformance/programs/web_server.py").read_text()
MBYTE = 1024 * 1024


@dataclass
class Site:
    """A run that serves, and a client of the account that started it."""

    server: Server
    api: Client
    run: dict[str, Any]

    @property
    def url(self) -> str:
        return self.run["containerUrl"]

    @property
    def host(self) -> str:
        return f"{self.run['id'].lower()}.localhost:{self.server.port}"


async def until_listening(api: Client, run: dict[str, Any]) -> None:
    await api.until_logged(run["id"], "listening")
    while (await api.get(run["containerUrl"], token=None)).status == 503:
        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
async def site(server: Server) -> AsyncGenerator[Site]:
    username, token = await server.user()
    async with Client(server.url, token, username) as api:
        actor = await ActorMaker(api).python(WEB_SERVER)
        run = (await api.post(f"/v2/actors/{actor['id']}/runs", params={"memory": 256})).data
        await until_listening(api, run)
        yield Site(server, api, run)
        await api.post(f"/v2/actor-runs/{run['id']}/abort")


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def test_a_container_url_needs_no_token_and_leads_to_the_run(site: Site):
    reply = await site.api.get(f"{site.url}/some/path?a=1&a=%20b", token=None)
    assert reply.status == 200
    assert reply.json["path"] == "/some/path?a=1&a=%20b"
    assert reply.json["run"] == site.run["id"]
    shown = (await site.api.get(f"/v2/actor-runs/{site.run['id']}")).data
    assert shown["isContainerServerReady"] is True


async def test_a_run_has_a_name_below_localhost_too(site: Site):
    reply = await site.api.get("/at/root", headers={"Host": site.host})
    assert reply.json["path"] == "/at/root"
    assert reply.json["headers"]["host"] == site.host
    assert reply.headers["Set-Cookie"] == "visited=1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_passes_with_its_body(site: Site, method: str):
    reply = await site.api.request(method, f"{site.url}/x", data=b"body")
    assert reply.json == {"sha256": hashlib.sha256(b"body").hexdigest(), "method": method}


async def test_headers_of_one_connection_stay_on_it(site: Site):
    headers = {"Connection": "x-mine", "X-Mine": "1", "X-Forwarded-For": "6.6.6.6", "X-Kept": "1"}
    reply = await site.api.get(f"{site.url}/", headers=headers)
    arrived = reply.json["headers"]
    assert arrived["x-kept"] == "1"
    assert "x-mine" not in arrived
    assert "X-Private" not in reply.headers
    assert arrived["x-forwarded-for"] == "6.6.6.6"  # a proxy on this machine is believed
    assert arrived["x-forwarded-host"] == urlsplit(site.url).netloc
    assert arrived["x-forwarded-prefix"] == urlsplit(site.url).path


async def test_tokens_of_this_server_never_reach_an_actor(site: Site):
    reply = await site.api.get(f"{site.url}/?a=1&token={site.api.token}")
    assert reply.json["path"] == "/?a=1"
    assert "authorization" not in reply.json["headers"]
    theirs = await site.api.get(f"{site.url}/?token=theirs", token="their-own")
    assert theirs.json["path"] == "/?token=theirs"
    assert theirs.json["headers"]["authorization"] == "Bearer their-own"


async def test_what_is_reached_by_path_gets_an_origin_of_its_own_and_no_cookies(site: Site):
    reply = await site.api.get(f"{site.url}/", headers={"Cookie": "a=b"})
    assert "cookie" not in reply.json["headers"]
    assert "Set-Cookie" not in reply.headers
    policy = (await site.api.get(f"{site.url}/page")).headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy


async def test_browsers_are_led_from_the_path_to_the_name(site: Site, http: aiohttp.ClientSession):
    headers = {"Sec-Fetch-Mode": "navigate"}
    async with http.get(f"{site.url}/page?a=1", headers=headers, allow_redirects=False) as reply:
        assert reply.status == 307
        assert reply.headers["Location"] == f"http://{site.host}/page?a=1"
    named = await site.api.get("/page", headers={"Host": site.host, **headers})
    assert named.body == b"<h1>Hello</h1>"
    assert "Content-Security-Policy" not in named.headers


async def test_events_arrive_as_they_are_sent(site: Site, http: aiohttp.ClientSession):
    async with http.get(f"{site.url}/events") as reply:
        assert await reply.content.readuntil(b"\n\n") == b"data: one\n\n"
        await site.api.get(f"{site.url}/goon")
        assert await reply.content.read() == b"data: two\n\n"


async def test_large_bodies_pass_in_little_memory(new_server: Any):
    server = new_server(memory_limit_mbytes="4096")
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).python(WEB_SERVER)
        run = (await api.post(f"/v2/actors/{actor['id']}/runs")).data
        await until_listening(api, run)
        before = peak_mbytes(server.pid)
        sent = await api.post(
            f"{run['containerUrl']}/", data=pieces(80), headers={"Content-Length": str(80 * MBYTE)}
        )
        assert sent.json["sha256"] == hashlib.sha256(b"x" * 80 * MBYTE).hexdigest()
        got = await api.get(f"{run['containerUrl']}/large?mbytes=80")
        assert len(got.body) == 80 * MBYTE
        assert peak_mbytes(server.pid) - before < 30


async def pieces(mbytes: int) -> AsyncIterator[bytes]:
    for _ in range(mbytes):
        yield b"x" * MBYTE


async def test_an_actor_hears_of_a_client_that_leaves(site: Site, http: aiohttp.ClientSession):
    async with http.get(f"{site.url}/endless") as reply:
        await reply.content.readexactly(200_000)
    await site.api.until_logged(site.run["id"], "the client left")


async def test_half_an_answer_does_not_look_whole(site: Site, http: aiohttp.ClientSession):
    async with http.get(f"{site.url}/broken") as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_an_answer_that_is_no_http_is_a_bad_gateway(site: Site):
    reply = await site.api.get(f"{site.url}/nonsense")
    assert (reply.status, reply.error["type"]) == (502, "web-server-failed")


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
async def test_websocket_messages_pass_both_ways(
    site: Site, http: aiohttp.ClientSession, size: int
):
    async with http.ws_connect(
        f"{site.url}/ws", protocols=("a.v1", "odd.v2"), max_msg_size=0
    ) as ws:
        assert ws.protocol == "odd.v2"
        await ws.send_bytes(b"y" * size)
        assert await ws.receive_bytes() == b"y" * size
        await ws.close(code=4321)
    await site.api.until_logged(site.run["id"], "closed with 4321")


async def test_a_websocket_that_is_cut_off_is_cut_off_for_the_actor(
    site: Site, http: aiohttp.ClientSession
):
    ws = await http.ws_connect(f"{site.url}/ws")
    connection = ws.get_extra_info("socket")
    connection.shutdown(socket.SHUT_RDWR)
    await site.api.until_logged(site.run["id"], "cut off")
    await ws.close()


async def test_a_refused_websocket_is_told_so_and_the_connection_ends(
    site: Site, http: aiohttp.ClientSession
):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(f"{site.url}/refuse")
    assert refused.value.status == 403
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    request = f"GET {urlsplit(site.url).path}/refuse HTTP/1.1\r\nHost: {urlsplit(site.url).netloc}\r\n{upgrade}\r\n"
    writer.write(request.encode() * 2)
    assert (await reader.read()).count(b"HTTP/1.1") == 1
    writer.close()


async def test_a_run_that_does_not_listen_yet_says_what_to_do(api: Client, actors: ActorMaker):
    actor = await actors.shell("echo up; sleep 60")
    run = (await api.post(f"/v2/actors/{actor['id']}/runs")).data
    await api.until_logged(run["id"], "up")
    reply = await api.get(run["containerUrl"])
    assert (reply.status, reply.error["type"]) == (503, "web-server-not-ready")
    assert "ACTOR_WEB_SERVER_PORT" in reply.error["message"]
    await api.post(f"/v2/actor-runs/{run['id']}/abort")
    await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 30})
    over = await api.get(run["containerUrl"])
    assert (over.status, over.error["type"]) == (404, "record-not-found")
    assert run["id"] in over.error["message"]


async def test_an_unknown_container_is_not_found(api: Client):
    assert (await api.get("/containers/AAAAAAAAAAAAAAAAA/")).status == 404
    named = await api.get("/", headers={"Host": "aaaaaaaaaaaaaaaaa.localhost"}, token=None)
    assert named.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(f"{api.url}/containers/AAAAAAAAAAAAAAAAA/ws")
    assert refused.value.status == 404


async def test_a_version_chooses_the_port_its_server_listens_on(api: Client, actors: ActorMaker):
    version = {"envVars": [{"name": "ACTOR_WEB_SERVER_PORT", "value": "8080"}]}
    actor = await actors.python(WEB_SERVER, version=version)
    run = (await api.post(f"/v2/actors/{actor['id']}/runs")).data
    await until_listening(api, run)
    assert (await api.get(run["containerUrl"])).json["run"] == run["id"]
    await api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_the_web_server_is_reached_again_after_a_crash_of_the_server(new_server: Any):
    server = new_server(gateway_host="actors.example.com")
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).python(WEB_SERVER)
        run = (await api.post(f"/v2/actors/{actor['id']}/runs")).data
        assert run["containerUrl"] == f"http://{run['id'].lower()}.actors.example.com:{server.port}"
        own = {**run, "containerUrl": f"{server.url}/containers/{run['id']}"}
        await until_listening(api, own)
        server.kill()
        server.start()
    async with Client(server.url, server.token, "admin") as api:
        await until_listening(api, own)
        host = urlsplit(run["containerUrl"]).netloc
        assert (await api.get("/", headers={"Host": host})).json["run"] == run["id"]


async def test_what_cannot_be_passed_on_is_refused(site: Site):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    path, host = urlsplit(site.url).path, urlsplit(site.url).netloc
    writer.write(
        f"GET {path}/ HTTP/1.1\r\nHost: {host}\r\nX-A: a\x01b\r\nConnection: close\r\n\r\n".encode()
    )
    status = await reader.readline()
    assert status.split()[1] == b"400"
    writer.close()
