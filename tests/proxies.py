"""What a proxy is tested with: a site, plain or with TLS, other proxies, and requests written out to the byte."""

import asyncio
import base64
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECS = 20


@dataclass
class Site:
    """Says `hello`, echoes what is posted, and remembers the headers of each request."""

    port: int = 0
    requests: list[list[tuple[str, str]]] = field(default_factory=list)

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            [(name.decode(), value.decode()) for name, value in request.raw_headers]
        )
        if request.method != "POST":
            return web.Response(text="hello", headers={"X-Odd-CASE": "kept"})
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
        return response


@asynccontextmanager
async def site(certificate: ssl.SSLContext | None = None) -> AsyncGenerator[Site]:
    one = Site()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{tail:.*}", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate).start()
    one.port = runner.addresses[0][1]
    try:
        yield one
    finally:
        await runner.cleanup()


def self_signed(folder: Path) -> ssl.SSLContext:
    """What a server for 127.0.0.1 needs that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "site.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def say(port: int, *pieces: bytes) -> bytes:
    """All that a server answers to pieces sent one by one, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)  # So that the pieces arrive one by one.
        async with asyncio.timeout(SECS):
            return await reader.read()
    finally:
        writer.close()


def request(
    target: str, *, credentials: str | None = None, method: str = "GET", **headers: str
) -> bytes:
    """The head of a request to a proxy. The connection is to close after the answer."""
    lines = [f"{method} {target} HTTP/1.1", "Host: of.no.matter", "Connection: close"]
    if credentials is not None:
        lines.append(f"Proxy-Authorization: {credentials}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@dataclass
class OtherProxy:
    """A proxy of an operator's. Whatever is asked of it, it leads to `site_port`, or says its own name."""

    name: str
    site_port: int = 0
    credentials: str | None = None
    port: int = 0
    heads: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        wanted = f"Proxy-Authorization: {self.credentials}\r\n"
        if self.credentials is not None and wanted not in head:
            writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        elif head.startswith("CONNECT "):
            await self._tunnel(reader, writer)
        else:
            body = self.name.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        site_reader, site_writer = await asyncio.open_connection("127.0.0.1", self.site_port)
        writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
        pumps = [_pump(reader, site_writer), _pump(site_reader, writer)]
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def running(other: OtherProxy) -> AsyncGenerator[OtherProxy]:
    server = await asyncio.start_server(other.serve, "127.0.0.1", other.port)
    other.port = server.sockets[0].getsockname()[1]
    try:
        yield other
    finally:
        server.close()
