"""Admission by memory: runs and builds start in the order they came, as memory allows; the rest wait."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class MemoryBudget:
    """Memory shared by all running runs and builds. First come, first served: a big one is never overtaken.

    For use on the event loop's thread only.
    """

    def __init__(self, limit_mbytes: int) -> None:
        self.limit_mbytes = limit_mbytes
        self.used_mbytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for memory."""
        return len(self._waiting)

    def fits(self, mbytes: int) -> bool:
        """Whether that much can ever be had."""
        return mbytes <= self.limit_mbytes

    def has_room(self, mbytes: int) -> bool:
        """Whether that much could be had at once."""
        return not self._waiting and self.used_mbytes + mbytes <= self.limit_mbytes

    @asynccontextmanager
    async def reserve(self, mbytes: int, *, is_running: bool = False) -> AsyncGenerator[None]:
        """Hold `mbytes`, after waiting for them. What `is_running` already is counted, but does not wait."""
        if not is_running:
            await self._wait_for(mbytes)
        else:
            self.used_mbytes += mbytes
        try:
            yield
        finally:
            self.used_mbytes -= mbytes
            self._admit()

    async def _wait_for(self, mbytes: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((mbytes, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(mbytes, turn)
            raise

    def _give_up(self, mbytes: int, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self.used_mbytes -= mbytes
        else:
            self._waiting.remove((mbytes, turn))
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used_mbytes + self._waiting[0][0] <= self.limit_mbytes:
            mbytes, turn = self._waiting.popleft()
            self.used_mbytes += mbytes
            turn.set_result(None)
