"""The runs that answer one account's requests to one Actor or task: who gets which, when there are more, when fewer.

Requests fill the run that is fullest below the number each is meant to have, so that the others fall idle and end.
When all have that many, another run is started ahead of need, as long as memory allows; when all have as many as
they can take, requests wait in line. For the event loop's thread only. Nothing is kept: a new server finds the runs
by their rows.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from callboard.core.errors import ApiError
from callboard.gateway.errors import StandbyNotReady, TooManyWaiting
from callboard.gateway.standby_runs import READY_SECS, StandbyRuns
from callboard.gateway.standby_targets import Target
from callboard.runs.model import Run

log = structlog.get_logger()

WAITING_MAX = 1000
_END_PAUSES_SECS = (1, 5, 15, 60)
"""Before a run that could not be ended is tried again; the last one for as long as it takes."""


class _Member:
    """One run and the requests it has now."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.active = 0
        self.serves = False
        self.is_leaving = False
        self.idle: asyncio.TimerHandle | None = None

    @property
    def is_starting(self) -> bool:
        return not self.serves and not self.is_leaving

    def enter(self) -> None:
        self.active += 1
        self.stop_idling()

    def stop_idling(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None


class Pool:
    """`on_empty` is called when there is neither a run nor a request left."""

    def __init__(self, runs: StandbyRuns, target: Target, on_empty: Callable[[], None]) -> None:
        self._runs = runs
        self._target = target
        self._on_empty = on_empty
        self._members: list[_Member] = []
        self._waiting: deque[asyncio.Future[_Member]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @asynccontextmanager
    async def room(self, target: Target) -> AsyncGenerator[Run]:
        """A run with room for one more request, for the time of the block.

        Raises TooManyWaiting, StandbyNotReady, StandbyRunEnded, or what starting a run raises.
        """
        self._target = target
        self._dismiss_outdated()
        member = self._free()
        if member is None:
            member = await self._in_turn()
        else:
            member.enter()
            self._grow_ahead()
        try:
            assert member.run is not None
            yield member.run
        finally:
            self._leave(member)

    def adopt(self, run: Run) -> None:
        """Take in a run that an earlier server started."""
        member = _Member()
        member.run = run
        self._keep(member)

    async def close(self) -> None:
        """Let go. The runs go on."""
        self._is_closed = True
        for member in self._members:
            member.stop_idling()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # requests

    def _free(self) -> _Member | None:
        config = self._target.config
        free = [
            member
            for member in self._members
            if member.serves and not member.is_leaving and member.active < config.max_requests
        ]
        if not free:
            return None
        easy = [member for member in free if member.active < config.desired_requests]
        if easy:
            return max(easy, key=lambda member: member.active)
        return min(free, key=lambda member: member.active)

    async def _in_turn(self) -> _Member:
        if len(self._waiting) >= WAITING_MAX:
            raise TooManyWaiting(WAITING_MAX)
        turn: asyncio.Future[_Member] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._grow()
        try:
            async with asyncio.timeout(READY_SECS):
                return await self._won(turn)
        except TimeoutError as error:
            raise StandbyNotReady(READY_SECS) from error
        finally:
            with suppress(ValueError):
                self._waiting.remove(turn)

    async def _won(self, turn: "asyncio.Future[_Member]") -> _Member:
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave(turn.result())  # It was the turn of somebody who had just given up.
            raise

    def _leave(self, member: _Member) -> None:
        member.active -= 1
        self._admit()
        if member.active == 0:
            self._settle(member)

    def _admit(self) -> None:
        """Let in who waits, the first in line first, as far as there is room."""
        while self._waiting and (member := self._free()) is not None:
            turn = self._waiting.popleft()
            if not turn.done():
                member.enter()
                turn.set_result(member)

    # runs

    def _grow(self) -> None:
        """Start a run, unless one is being started: it may be all that is needed."""
        if not any(member.is_starting for member in self._members):
            self._keep(_Member())

    def _grow_ahead(self) -> None:
        desired = self._target.config.desired_requests
        serving = [one for one in self._members if one.serves and not one.is_leaving]
        if all(one.active >= desired for one in serving):
            run = serving[0].run
            if run is not None and self._runs.has_room_for_another(run):
                self._grow()

    def _dismiss_outdated(self) -> None:
        """Runs of another build than requests are meant for now end with the requests they have."""
        for member in self._members:
            is_outdated = member.run is not None and member.run.build_id != self._target.build_id
            if is_outdated and not member.is_leaving:
                member.is_leaving = True
                if member.active == 0:
                    self._settle(member)

    def _settle(self, member: _Member) -> None:
        """Nobody uses the run at this moment."""
        member.stop_idling()
        if member not in self._members:
            return
        if member.is_leaving:
            self._end(member, "The standby run was replaced by one of a newer build")
        elif member.serves:
            secs = self._target.config.idle_timeout_secs
            loop = asyncio.get_running_loop()
            member.idle = loop.call_later(secs, self._idled, member, secs)

    def _idled(self, member: _Member, secs: int) -> None:
        member.is_leaving = True
        self._end(member, f"The standby run was idle for {secs} seconds")

    def _end(self, member: _Member, why: str) -> None:
        self._work(self._see_off(member, why))

    async def _see_off(self, member: _Member, why: str) -> None:
        """End the run, however often that fails, as when the disk is full: it has no timeout, and no other end."""
        pauses = itertools.chain(_END_PAUSES_SECS, itertools.repeat(_END_PAUSES_SECS[-1]))
        while member.run is not None:
            try:
                await self._runs.end(self._target.caller, member.run, why)
            except ApiError as error:  # it would be the answer each time
                log.error("standby.not_ended", run_id=member.run.id, exc_info=error)
            except Exception as error:
                log.error("standby.not_ended", run_id=member.run.id, exc_info=error)
                await asyncio.sleep(next(pauses))
                continue
            return

    def _keep(self, member: _Member) -> None:
        self._members.append(member)
        self._work(self._live(member))

    def _work(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="standby run")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, member: _Member) -> None:
        """From a run's start to its end."""
        try:
            await self._see_through(member)
        except ApiError as error:
            self._disappoint(error, member)
        except Exception as error:
            log.error("standby.failed", actor_id=self._target.actor.id, exc_info=error)
            member.is_leaving = member.serves
            await self._see_off(member, "The server could not go on with the standby run")
            self._disappoint(StandbyNotReady(READY_SECS), member)
        finally:
            member.stop_idling()
            self._members.remove(member)
            # One that never served is not replaced at once: its program may end like that each time.
            if self._waiting and not self._is_closed and (member.serves or member.is_leaving):
                self._grow()
            elif not self._members:
                self._on_empty()

    async def _see_through(self, member: _Member) -> None:
        if member.run is None:
            member.run = await self._runs.start(self._target)
        try:
            await self._runs.until_serving(member.run)
        except StandbyNotReady:
            await self._see_off(member, "It did not serve HTTP in time")
            raise
        member.serves = True
        self._admit()
        if self._waiting:
            self._grow()
        if member.active == 0:
            self._settle(member)
        await self._runs.until_ending(member.run)
        member.is_leaving = True

    def _disappoint(self, error: ApiError, ended: _Member) -> None:
        """Tell everyone who waits, unless the run was to end, or another may still take them."""
        others = [one for one in self._members if one is not ended and not one.is_leaving]
        if ended.is_leaving or any(one.serves or one.is_starting for one in others):
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error)
