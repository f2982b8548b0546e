"""Admission by memory: runs and builds start in the order they came, as memory allows; the rest wait."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress


class MemoryBudget:
    """Memory shared by all running runs and builds. First come, first served: a big one is never overtaken.

    For use on the event loop's thread only.
    """

    def __init__(self, limit_mbytes: int) -> None:
        self.limit_mbytes = limit_mbytes
        self.used_mbytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._is_closed = False

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

    @contextmanager
    def closed(self) -> Generator[None]:
        """Admit nobody until what runs already, and is reserved for by tasks made in the block, has been counted."""
        self._is_closed = True
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._open)

    def _open(self) -> None:
        self._is_closed = False
        self._admit()

    @asynccontextmanager
    async def reserve(self, mbytes: int, *, is_running: bool = False) -> AsyncGenerator[None]:
        """Hold `mbytes`, after waiting for them. What `is_running` already is counted, but does not wait.

        What needs more than the whole budget, because that has become smaller, gets its turn when all else is over.
        """
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
            with suppress(ValueError):  # passed over already
                self._waiting.remove((mbytes, turn))
        self._admit()

    def _admit(self) -> None:
        while not self._is_closed and self._waiting and self._is_free(self._waiting[0][0]):
            mbytes, turn = self._waiting.popleft()
            if not turn.cancelled():  # else its owner is about to notice
                self.used_mbytes += mbytes
                turn.set_result(None)

    def _is_free(self, mbytes: int) -> bool:
        return not self.used_mbytes or self.used_mbytes + mbytes <= self.limit_mbytes
