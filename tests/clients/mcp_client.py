"""A small client for MCP servers that speak over their standard input and output."""

import asyncio
import itertools
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

PROTOCOL = "2025-06-18"
LINE_BYTES = 16 * 1024 * 1024


class McpSession:
    """Asks one thing at a time; what the server says unasked (progress, log lines) is passed over."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ids = itertools.count(1)

    async def request(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """What the server answers. A JSON-RPC error fails the test."""
        number = next(self._ids)
        await self._send({"id": number, "method": method, "params": dict(params or {})})
        while True:
            message = await self._receive()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message["error"]
                return message["result"]

    async def notify(self, method: str) -> None:
        await self._send({"method": method})

    async def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The whole result of a tool, which may be one that says what failed."""
        return await self.request("tools/call", {"name": name, "arguments": arguments})

    async def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await self._process.stdin.drain()

    async def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the MCP server ended"
        return json.loads(line)


@asynccontextmanager
async def mcp_session(
    command: Sequence[str], environment: Mapping[str, str]
) -> AsyncGenerator[McpSession]:
    """A started server, past its handshake. It is ended by closing its input."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES
    )
    session = McpSession(process)
    try:
        hello = {
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "callboard-tests", "version": "1"},
        }
        answer = await session.request("initialize", hello)
        assert answer["protocolVersion"] == PROTOCOL
        await session.notify("notifications/initialized")
        yield session
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), timeout=5)
        except TimeoutError:
            process.kill()
            await process.wait()
