"""Waking waiters inside this process: who holds a request for a run is woken by its end, nobody polls.

A signal says only "look again"; the truth is in the database, so a missed or spurious signal costs nothing
but a look.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class Listener:
    """One waiter's view of a topic. Signals between two waits are not lost: the next wait returns at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_secs: float | None = None) -> bool:
        """Return True once signalled since the last wait, False when `timeout_secs` have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_secs):
                await self._event.wait()
                self._event.clear()
                return True
        return False


class Signals:
    """Topics by name, for use on the event loop's thread only."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = defaultdict(set)

    def notify(self, topic: str) -> None:
        for listener in self._listeners.get(topic, ()):
            listener.set()

    def has_listeners(self, topic: str) -> bool:
        return topic in self._listeners

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncGenerator[Listener]:
        """Hear `topic` from now on. Subscribe first, then read the state, then wait: nothing falls between."""
        listener = Listener()
        self._listeners[topic].add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]
