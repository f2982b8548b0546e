"""The forward proxy on the API's port."""

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import aiohttp
import pytest

from callboard.usage.meter import FLUSH_AFTER_SECS
from tests.actors import ActorMaker
from tests.proxies import Site, basic, request, say, self_signed, site, status_of
from tests.server import Client, Server, free_port

STATUS = "/?format=json"


@pytest.fixture
async def password(api: Client) -> str:
    return (await api.get("/v2/users/me")).data["proxy"]["password"]


@pytest.fixture
def auto(password: str) -> str:
    """Credentials that wish for nothing special."""
    return basic("auto", password)


@pytest.fixture
async def web() -> AsyncGenerator[Site]:
    async with site() as one:
        yield one


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A server whose Actors are kept from the machine's own services."""
    running = Server(tmp_path_factory.mktemp("closed") / "data").start()
    yield running
    running.stop()


@pytest.fixture
async def closed_auto(closed_server: Server) -> str:
    username, token = await closed_server.user()
    async with Client(closed_server.url, token, username) as client:
        return basic("auto", (await client.get("/v2/users/me")).data["proxy"]["password"])


async def test_a_page_comes_through_as_it_is(server: Server, web: Site, auto: str) -> None:
    answer = await say(
        server.port,
        request(f"http://{web.authority}/a?b=c#d", credentials=auto, **{"x-My-ID": "1"}),
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"X-Odd-CASE: kept" in head
    assert body == b"hello"
    assert web.requests == [[("Host", web.authority), ("x-My-ID", "1"), ("Connection", "close")]]


async def test_a_client_may_ask_again_on_its_connection(
    server: Server, web: Site, auto: str
) -> None:
    head = f"Host: x\r\nProxy-Authorization: {auto}\r\n"
    first = f"GET http://{web.authority}/1 HTTP/1.1\r\n{head}\r\n".encode()
    second = f"GET http://{web.authority}/2 HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
    answer = await say(server.port, first + second)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    names = [name for headers in web.requests for name, _ in headers]
    assert names == ["Host", "Connection"] * 2


async def test_bodies_of_any_length_stream_both_ways(server: Server, web: Site, auto: str) -> None:
    sent = os.urandom(3_000_000)

    async def pieces() -> AsyncGenerator[bytes]:
        for start in range(0, len(sent), 100_000):
            yield sent[start : start + 100_000]

    url = f"http://{web.authority}/"
    proxy = {"proxy": server.url, "headers": {"Proxy-Authorization": auto}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=pieces(), **proxy) as response,
    ):
        assert response.status == 200
        assert await response.read() == sent


async def test_https_goes_through_a_tunnel(server: Server, password: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "site.pem"))
    async with site(certificate) as secure, aiohttp.ClientSession() as session:
        async with session.get(
            f"https://{secure.authority}/",
            proxy=server.url,
            proxy_headers={"Proxy-Authorization": basic("session-a", password)},
            ssl=trusting,
        ) as response:
            assert await response.text() == "hello"
        assert "Proxy-Authorization" not in dict(secure.requests[0])


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_without_credentials_it_is_closed(
    server: Server, api: Client, web: Site, password: str, method: str
) -> None:
    target = web.authority if method == "CONNECT" else f"http://{web.authority}/"
    assert api.token is not None
    for credentials in (
        None,
        "",
        basic("auto", ""),
        basic("auto", password[:-1]),
        basic("auto", password + "x"),
        basic("auto", api.token),
        basic(password, ""),
        basic("auto", password)[:-3],
        f"Bearer {password}",
        "Basic ///",
    ):
        answer = await say(server.port, request(target, credentials=credentials, method=method))
        assert status_of(answer) == 407, credentials
        assert b'\r\nProxy-Authenticate: Basic realm="Callboard"\r\n' in answer
        assert password.encode() not in answer
    assert web.requests == []


@pytest.mark.parametrize(
    ("username", "status"),
    [
        ("auto", 200),
        ("session-my_session.1~", 200),
        ("session-" + "x" * 50, 200),
        ("session-" + "x" * 51, 407),
        ("session-a/b", 407),
        ("session-", 407),
        ("auto,session-a", 407),
        ("session-a,session-b", 407),
        ("", 407),
        ("me", 407),
        ("country-us", 407),
        ("groups-A", 590),
        ("groups-A+B,session-x,country-US", 590),
        ("country-US_CA", 590),
    ],
)
async def test_usernames_say_how_to_go_out(
    server: Server, web: Site, password: str, username: str, status: int
) -> None:
    credentials = basic(username, password)
    answer = await say(server.port, request(f"http://{web.authority}/", credentials=credentials))
    assert status_of(answer) == status
    page = await say(
        server.port, request("http://proxy.apify.com" + STATUS, credentials=credentials)
    )
    assert json.loads(page.partition(b"\r\n\r\n")[2])["connected"] is (status == 200)


async def test_the_status_page_tells_who_may_connect(server: Server, password: str) -> None:
    for target in (STATUS, server.url + STATUS, "http://proxy.apify.com" + STATUS):
        good = await say(server.port, request(target, credentials=basic("auto", password)))
        assert json.loads(good.partition(b"\r\n\r\n")[2]) == {
            "connected": True,
            "connectionError": None,
            "isManInTheMiddle": False,
        }
        bad = await say(server.port, request(target, credentials=basic("auto", "guess")))
        assert status_of(bad) == 200
        page = json.loads(bad.partition(b"\r\n\r\n")[2])
        assert page["connected"] is False
        assert "password is wrong" in page["connectionError"]


async def test_the_status_page_asks_for_credentials(server: Server) -> None:
    assert status_of(await say(server.port, request("http://proxy.apify.com" + STATUS))) == 407
    direct = await say(server.port, request(STATUS))
    assert json.loads(direct.partition(b"\r\n\r\n")[2])["connected"] is False


async def test_failures_have_statuses_of_their_own(server: Server, auto: str) -> None:
    async def status(target: str, method: str = "GET") -> int:
        return status_of(await say(server.port, request(target, credentials=auto, method=method)))

    assert await status("http://no-such-name.invalid/") == 593
    assert await status("no-such-name.invalid:443", "CONNECT") == 593
    assert await status(f"http://127.0.0.1:{free_port()}/") == 594
    assert await status(f"127.0.0.1:{free_port()}", "CONNECT") == 594
    assert await status("http://user:secret@example.com/") == 400
    assert await status("http://example.com:99999/") == 400
    assert await status("https://example.com/") == 400
    assert await status("example.com", "CONNECT") == 400


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"", 595), (b"HTTP/1.1 200 OK\r\nContent-Le", 595), (b"SSH-2.0-OpenSSH\r\n\r\n", 599)],
)
async def test_servers_that_make_no_sense_are_told_apart(
    server: Server, auto: str, answer: bytes, status: int
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as odd:
        port = odd.sockets[0].getsockname()[1]
        reply = await say(server.port, request(f"http://127.0.0.1:{port}/", credentials=auto))
    assert status_of(reply) == status


async def test_a_broken_answer_ends_the_connection(server: Server, auto: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as odd:
        port = odd.sockets[0].getsockname()[1]
        reply = await say(server.port, request(f"http://127.0.0.1:{port}/", credentials=auto))
    assert reply.endswith(b"\r\n\r\nhalf")
    assert reply.count(b"HTTP/1.1") == 1


async def test_a_refusal_reaches_clients_that_are_sending(server: Server, web: Site) -> None:
    head = request(f"http://{web.authority}/", method="POST", **{"Content-Length": "3000000"})
    assert status_of(await say(server.port, head + bytes(3_000_000))) == 407


async def test_heads_are_bounded(server: Server, auto: str) -> None:
    head = request("http://example.com/", credentials=auto, Big="x" * 200_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head[:150_000])
    assert status_of(await reader.readline()) == 431
    writer.close()


async def test_first_bytes_may_come_one_by_one(server: Server, web: Site, auto: str) -> None:
    proxied = request(f"http://{web.authority}/", credentials=auto)
    answer = await say(server.port, *(proxied[n : n + 1] for n in range(30)), proxied[30:])
    assert answer.endswith(b"hello")
    direct = request("/health")
    answer = await say(server.port, *(direct[n : n + 1] for n in range(30)), direct[30:])
    assert status_of(answer) == 200


async def test_what_passes_is_counted_for_the_account(
    server: Server, api: Client, web: Site, auto: str
) -> None:
    body = b"x" * 1_000_000
    head = request(
        f"http://{web.authority}/", credentials=auto, method="POST", **{"Content-Length": "1000000"}
    )
    assert len(await say(server.port, head + body)) > len(body)
    await asyncio.sleep(FLUSH_AFTER_SECS)  # Counts are written together.
    async with asyncio.timeout(20):
        while True:
            usage = (await api.get("/v2/users/me/usage/monthly")).data["monthlyServiceUsage"]
            if counted := usage.get("DATA_TRANSFER_EXTERNAL_GBYTES"):
                break
    assert counted["quantity"] == pytest.approx(0.002, rel=0.01)


def own_address() -> str:
    """One of this machine's, not the loopback one, where it has any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.8.9.10",
        "2130706433",
        "0x7f000001",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "[::]",
        own_address(),
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
async def test_closed_addresses_stay_closed(
    closed_server: Server, closed_auto: str, host: str
) -> None:
    async with await asyncio.start_server(lambda _r, _w: touched.append(1), None, 0) as secret:
        touched: list[int] = []
        port = secret.sockets[0].getsockname()[1]
        for target, method in ((f"http://{host}:{port}/", "GET"), (f"{host}:{port}", "CONNECT")):
            answer = await say(
                closed_server.port, request(target, credentials=closed_auto, method=method)
            )
            assert status_of(answer) == 403
        assert touched == []


@pytest.mark.parametrize(
    "name", ["LOCALHOST.", "host.callboard.internal", "metadata.google.internal"]
)
async def test_names_of_the_inside_lead_nowhere(
    closed_server: Server, closed_auto: str, name: str
) -> None:
    answer = await say(closed_server.port, request(f"http://{name}/", credentials=closed_auto))
    assert status_of(answer) in (403, 593)


async def test_the_api_itself_is_open(closed_server: Server, closed_auto: str) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{closed_server.port}/health"
        answer = await say(closed_server.port, request(url, credentials=closed_auto))
        assert status_of(answer) == 200
        assert b'"status":"ok"' in answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "host.callboard.internal"])
async def test_local_services_are_open_where_the_operator_says_so(
    server: Server, web: Site, auto: str, host: str
) -> None:
    answer = await say(server.port, request(f"http://{host}:{web.port}/", credentials=auto))
    assert answer.endswith(b"hello")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0.0.0.0", "[::ffff:169.254.169.254]", "127.0.0.2"]
)
async def test_some_addresses_are_closed_even_then(server: Server, auto: str, host: str) -> None:
    assert status_of(await say(server.port, request(f"http://{host}/", credentials=auto))) == 403


async def test_other_runs_are_not_reached(
    server: Server, api: Client, actors: ActorMaker, auto: str
) -> None:
    if (await api.get("/health")).json["sandbox"]["network"] != "veth":
        pytest.skip("without veth, runs have no addresses at which another could look for them")
    actor = await actors.python(
        """
        import socket
        with socket.socket() as server:
            server.bind(("0.0.0.0", 4321))
            server.listen()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect(("192.0.2.1", 9))
                set_value("OUTPUT", probe.getsockname()[0])
            get_input()
            time.sleep(60)
        """
    )
    run = (await api.post(f"/v2/actors/{actor['id']}/runs", json={})).data
    record = f"/v2/actor-runs/{run['id']}/key-value-store/records/OUTPUT"
    async with asyncio.timeout(20):
        while (reply := await api.get(record)).status != 200:
            await asyncio.sleep(0.1)
    answer = await say(server.port, request(f"http://{reply.json}:4321/", credentials=auto))
    assert status_of(answer) == 403
    await api.post(f"/v2/actor-runs/{run['id']}/abort")
