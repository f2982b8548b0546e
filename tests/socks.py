"""A SOCKS proxy for tests: versions 5, with a password, and 4a. Every name leads to a site of this machine."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class SocksProxy:
    plain_port: int
    secure_port: int
    credentials: tuple[str, str]
    port: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Names and ports that it was asked for."""

    async def handle(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            version = await reader.readexactly(1)
            greet = self._greet_5 if version == b"\5" else self._greet_4
            if name_and_port := await greet(reader, writer):
                self.asked.append(name_and_port)
                await self._pass_on(reader, writer, name_and_port[1])
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _greet_5(self, reader: StreamReader, writer: StreamWriter) -> tuple[str, int] | None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        assert 2 in methods
        writer.write(b"\5\2")
        await reader.readexactly(1)
        username = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        if (username.decode(), password.decode()) != self.credentials:
            writer.write(b"\1\1")
            await writer.drain()
            return None
        writer.write(b"\1\0")
        kind = (await reader.readexactly(4))[3]
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        name = await reader.readexactly(size)
        port = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(b"\5\0\0\1" + bytes(6))
        return name.decode("latin-1"), port

    async def _greet_4(self, reader: StreamReader, writer: StreamWriter) -> tuple[str, int] | None:
        head = await reader.readexactly(7)
        username = (await reader.readuntil(b"\0"))[:-1]
        assert head[3:6] == bytes(3), "no name but an address"
        name = (await reader.readuntil(b"\0"))[:-1]
        if username.decode() != self.credentials[0]:
            return None
        writer.write(b"\0\x5a" + bytes(6))
        return name.decode(), int.from_bytes(head[1:3], "big")

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter, port: int) -> None:
        own = self.secure_port if port == 443 else self.plain_port
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", own)
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()


async def _pump(source: StreamReader, sink: StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


@asynccontextmanager
async def socks_proxy(
    plain_port: int, secure_port: int, credentials: tuple[str, str]
) -> AsyncGenerator[SocksProxy]:
    one = SocksProxy(plain_port, secure_port, credentials)
    server = await asyncio.start_server(one.handle, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()
