"""The proxy going out through others that the operator has named."""

import json
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.proxies import (
    OtherProxy,
    Site,
    basic,
    request,
    running,
    say,
    self_signed,
    site,
    status_of,
)
from tests.server import Client, Server, free_port
from tests.socks import SocksProxy, socks_proxy

URL = "http://site.example/page?x=1"
"""No name that exists: the upstream proxies of these tests know what it means."""


@dataclass
class Chain:
    """A server with upstream proxies: two of group A, one of them American, another of B, and some that fail."""

    server: Server
    password: str
    a: OtherProxy
    american: OtherProxy
    b: OtherProxy
    socks: SocksProxy
    secure: Site
    certificate: Path

    async def get(self, username: str, url: str = URL) -> bytes:
        return await say(self.server.port, request(url, credentials=basic(username, self.password)))

    async def body(self, username: str) -> str:
        return (await self.get(username)).partition(b"\r\n\r\n")[2].decode()


@pytest.fixture(scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Chain]:
    folder = tmp_path_factory.mktemp("upstreams")
    async with (
        site(self_signed(folder)) as secure,
        running(OtherProxy("a", secure.port, basic("me", "se:cret/"))) as a,
        running(OtherProxy("american", secure.port)) as american,
        running(OtherProxy("b", secure.port)) as b,
        site() as plain,
        socks_proxy(plain.port, secure.port, ("me", "se:cret")) as socks,
    ):
        upstreams = [
            {"url": f"http://me:se%3Acret%2F@127.0.0.1:{a.port}", "groups": ["A"]},
            {"url": f"http://127.0.0.1:{american.port}", "groups": ["A"], "country": "US_CA"},
            {"url": f"http://127.0.0.1:{b.port}", "groups": ["B", "C"], "country": "CZ"},
            {"url": f"http://me:wrong@127.0.0.1:{a.port}", "groups": ["WRONG"]},
            {"url": f"http://127.0.0.1:{free_port()}", "groups": ["DOWN"]},
            {"url": f"socks5://me:se%3Acret@127.0.0.1:{socks.port}", "groups": ["SOCKS5"]},
            {"url": f"socks4://me@127.0.0.1:{socks.port}", "groups": ["SOCKS4"]},
            {"url": f"socks5://me:wrong@127.0.0.1:{socks.port}", "groups": ["SOCKSWRONG"]},
            {"url": f"socks5://127.0.0.1:{free_port()}", "groups": ["SOCKSDOWN"]},
            {"url": "direct", "groups": ["DIRECT"]},
        ]
        server = Server(folder / "data", proxy_upstreams=json.dumps(upstreams)).start()
        username, token = await server.user()
        async with Client(server.url, token, username) as client:
            me = (await client.get("/v2/users/me")).data
        yield Chain(
            server, me["proxy"]["password"], a, american, b, socks, secure, folder / "site.pem"
        )
        server.stop()


async def test_requests_go_out_through_an_upstream(chain: Chain) -> None:
    assert await chain.body("groups-B") == "b"
    head = chain.b.heads[-1]
    assert head.startswith(f"GET {URL} HTTP/1.1\r\nHost: site.example\r\n")
    assert "authorization" not in head.lower()


async def test_upstreams_get_their_own_credentials(chain: Chain) -> None:
    assert {await chain.body("groups-A") for _ in range(4)} == {"a", "american"}
    assert f"Proxy-Authorization: {chain.a.credentials}\r\n" in chain.a.heads[-1]
    assert chain.password not in chain.a.heads[-1]


@pytest.mark.parametrize("group", ["SOCKS5", "SOCKS4"])
async def test_requests_go_out_through_socks_by_name(chain: Chain, group: str) -> None:
    assert await chain.body(f"groups-{group}") == "hello"
    assert chain.socks.asked[-1] == ("site.example", 80)


@pytest.mark.parametrize("group", ["SOCKSWRONG", "SOCKSDOWN"])
async def test_socks_proxies_that_refuse_are_told_apart_from_sites(
    chain: Chain, group: str
) -> None:
    assert status_of(await chain.get(f"groups-{group}")) == 590


@pytest.mark.parametrize("group", ["A", "B", "SOCKS5", "SOCKS4"])
async def test_tunnels_go_through_upstreams(chain: Chain, group: str) -> None:
    trusting = ssl.create_default_context(cafile=str(chain.certificate))
    trusting.check_hostname = False
    credentials = basic(f"groups-{group}", chain.password)
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            "https://site.example/",
            proxy=chain.server.url,
            proxy_headers={"Proxy-Authorization": credentials},
            ssl=trusting,
        ) as response,
    ):
        assert await response.text() == "hello"
    if group.startswith("SOCKS"):
        assert chain.socks.asked[-1] == ("site.example", 443)
        return
    heads = [*chain.a.heads, *chain.american.heads] if group == "A" else chain.b.heads
    assert any(head.startswith("CONNECT site.example:443 HTTP/1.1\r\n") for head in heads)


@pytest.mark.parametrize(
    ("username", "names"),
    [
        ("groups-A", {"a", "american"}),
        ("groups-C", {"b"}),
        ("groups-B+A", {"a", "american", "b"}),
        ("country-US", {"american"}),
        ("country-US_CA", {"american"}),
        ("country-CZ,groups-A+B", {"b"}),
    ],
)
async def test_groups_and_countries_choose(chain: Chain, username: str, names: set[str]) -> None:
    assert {await chain.body(username) for _ in range(6)} == names


@pytest.mark.parametrize("username", ["groups-D", "country-US_NY", "groups-B,country-US"])
async def test_what_no_upstream_serves_is_refused(chain: Chain, username: str) -> None:
    assert status_of(await chain.get(username)) == 590


async def test_a_session_sticks_to_one_upstream(chain: Chain) -> None:
    of_sessions: set[str] = set()
    for session in range(8):
        bodies = {await chain.body(f"groups-A+B,session-{session}") for _ in range(4)}
        assert len(bodies) == 1
        of_sessions |= bodies
    assert len(of_sessions) > 1


async def test_upstreams_that_fail_are_told_apart(chain: Chain) -> None:
    wrong = await chain.get("groups-WRONG")
    assert status_of(wrong) == 597
    assert b"authenticate" not in wrong.lower()
    assert status_of(await chain.get("groups-DOWN")) == 590
    target = "site.example:443"
    for group, status in (("WRONG", 597), ("DOWN", 590)):
        asked = request(
            target, credentials=basic(f"groups-{group}", chain.password), method="CONNECT"
        )
        assert status_of(await say(chain.server.port, asked)) == status


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "0xa9fea9fe"],
)
async def test_closed_addresses_are_not_passed_on(chain: Chain, host: str) -> None:
    before = len(chain.b.heads)
    answer = await chain.get("groups-B", f"http://{host}:{chain.secure.port}/")
    assert status_of(answer) == 403
    assert len(chain.b.heads) == before


async def test_the_direct_way_may_be_one_of_them(chain: Chain) -> None:
    assert status_of(await chain.get("groups-DIRECT")) == 593
    assert status_of(await chain.get("groups-DIRECT", "http://127.0.0.1:1/")) == 403


async def test_an_account_sees_the_groups(chain: Chain) -> None:
    username, token = await chain.server.user()
    async with Client(chain.server.url, token, username) as client:
        groups = (await client.get("/v2/users/me")).data["proxy"]["groups"]
    assert [(group["name"], group["availableCount"]) for group in groups] == [
        ("A", 2),
        ("B", 1),
        ("C", 1),
        ("DIRECT", 1),
        ("DOWN", 1),
        ("SOCKS4", 1),
        ("SOCKS5", 1),
        ("SOCKSDOWN", 1),
        ("SOCKSWRONG", 1),
        ("WRONG", 1),
    ]


async def test_passwords_do_not_reach_the_log(chain: Chain) -> None:
    await chain.get("groups-WRONG")
    errors = chain.server.errors()
    assert "wrong" not in errors
    assert chain.password not in errors
