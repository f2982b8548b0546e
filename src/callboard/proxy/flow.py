"""What passes through one connection: counted as it flows, and an end to connections on which nothing does."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

IDLE_SECS: Final = 300.0


class Flow:
    """Use as `async with`: the block ends with a TimeoutError when nothing has passed for IDLE_SECS."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count
        self._timeout = asyncio.timeout(IDLE_SECS)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._timeout.__aexit__(kind, error, traceback)

    def passed(self, bytes_count: int) -> None:
        self._count(bytes_count)
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + IDLE_SECS)
