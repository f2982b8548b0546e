"""The events websocket of a run: figures each second, and word of what is about to happen to it."""

import asyncio
import os
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from callboard.core.clock import iso, now
from callboard.core.signals import Listener, Signals
from callboard.executors.base import Stats
from callboard.jobs.observer import JobObserver, stats_topic
from callboard.logs.service import job_topic
from callboard.users.service import UserService

OVERLOADED_SHARE = 0.95
"""Of the machine's cores: a run that uses that much is told to slow down."""
UNKNOWN_RUN = 1008
"""Close code on which the SDKs do not try again."""
CONNECTIONS_MAX = 10
"""Of one run."""
OUTBOX_MAX = 100
"""Frames kept for a program that does not read them; newer ones are dropped."""


class RunEvents:
    """Serves `/events/{runId}` as an ASGI app, and sends events to who is connected there."""

    def __init__(self, signals: Signals, observer: JobObserver, users: UserService) -> None:
        self._signals = signals
        self._observer = observer
        self._users = users
        self._sockets: dict[str, set[asyncio.Queue[bytes]]] = {}

    def send(self, run_id: str, name: str, data: dict[str, Any] | None = None) -> None:
        """Tell the run's program. Lost when it is not connected: events are hints, not commands."""
        for outbox in self._sockets.get(run_id, ()):
            _offer(outbox, _frame(name, data))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        run_id = socket.url.path.removeprefix("/events/")
        if not await self._is_alive(socket, run_id):
            await _refuse(socket, "Unknown run")
            return
        if len(self._sockets.get(run_id, ())) >= CONNECTIONS_MAX:
            await _refuse(socket, "Too many connections")
            return
        outbox: asyncio.Queue[bytes] = asyncio.Queue(OUTBOX_MAX)
        self._sockets.setdefault(run_id, set()).add(outbox)
        try:
            # Only now: whoever sees itself connected is told everything that happens from then on.
            await socket.accept()
            await self._serve(socket, run_id, outbox)
        finally:
            self._sockets[run_id].discard(outbox)
            if not self._sockets[run_id]:
                del self._sockets[run_id]

    async def _is_alive(self, socket: WebSocket, run_id: str) -> bool:
        """Whether the token is that of the run, and the run not over."""
        caller = await self._users.authenticate(socket.query_params.get("token", ""))
        return caller is not None and caller.run_id == run_id

    async def _serve(self, socket: WebSocket, run_id: str, outbox: "asyncio.Queue[bytes]") -> None:
        async with self._signals.listen(stats_topic(run_id)) as figures:
            loops = [
                asyncio.ensure_future(self._send_figures(run_id, figures, outbox)),
                asyncio.ensure_future(_send_all(socket, outbox)),
                asyncio.ensure_future(_until_closed(socket)),
                ending := asyncio.ensure_future(self._until_over(socket, run_id)),
            ]
            try:
                await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
            if ending.done() and not ending.cancelled():
                await socket.close(UNKNOWN_RUN, "The run is over")

    async def _until_over(self, socket: WebSocket, run_id: str) -> None:
        async with self._signals.listen(job_topic(run_id)) as change:
            while await self._is_alive(socket, run_id):
                await change.wait()

    async def _send_figures(
        self, run_id: str, figures: Listener, outbox: "asyncio.Queue[bytes]"
    ) -> None:
        while True:
            stats = self._observer.newest(run_id)
            if stats is not None:
                _offer(outbox, _frame("systemInfo", _system_info(stats)))
                _offer(outbox, _frame("cpuInfo", {"isCpuOverloaded": _is_overloaded(stats)}))
            await figures.wait()


async def _refuse(socket: WebSocket, reason: str) -> None:
    """Closed rather than refused: of a refusal clients hear no reason, and they try again."""
    await socket.accept()
    await socket.close(UNKNOWN_RUN, reason)


async def _send_all(socket: WebSocket, outbox: "asyncio.Queue[bytes]") -> None:
    while True:
        await socket.send_text((await outbox.get()).decode())


async def _until_closed(socket: WebSocket) -> None:
    """The SDKs send nothing; what comes anyway is ignored."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError):
        return


def _offer(outbox: "asyncio.Queue[bytes]", frame: bytes) -> None:
    if not outbox.full():
        outbox.put_nowait(frame)


def _system_info(stats: Stats) -> dict[str, Any]:
    return {
        "memAvgBytes": stats.mem_avg_bytes,
        "memCurrentBytes": stats.mem_current_bytes,
        "memMaxBytes": stats.mem_max_bytes,
        "cpuAvgUsage": stats.cpu_avg_usage,
        "cpuCurrentUsage": stats.cpu_current_usage,
        "cpuMaxUsage": stats.cpu_max_usage,
        "isCpuOverloaded": _is_overloaded(stats),
        "createdAt": iso(now()),
    }


def _is_overloaded(stats: Stats) -> bool:
    return stats.cpu_current_usage >= OVERLOADED_SHARE * 100 * (os.cpu_count() or 1)


def _frame(name: str, data: dict[str, Any] | None) -> bytes:
    frame: dict[str, Any] = {"name": name, "createdAt": iso(now())}
    if data is not None:
        frame["data"] = data
    return msgspec.json.encode(frame)
