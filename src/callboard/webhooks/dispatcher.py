"""The dispatcher: sends what is due, again and again with growing delays, until it is accepted or given up.

What is due is a column of the database, written in the same transaction as the event. Nothing else is needed after
a crash: a call that was under way then is made again, so receivers get every event at least once.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection
from yarl import URL

from callboard.core import clock
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.webhooks import repository
from callboard.webhooks.message import TokenFor
from callboard.webhooks.model import (
    MAX_RETRIES,
    Delivery,
    DispatchCall,
    DispatchStatus,
    retry_delay_units,
)
from callboard.webhooks.sender import Sender
from callboard.webhooks.service import DISPATCHES, wake_dispatcher

log = structlog.get_logger()

MAX_CALLS: Final = 64
MAX_CALLS_PER_ORIGIN: Final = 8
"""So that one receiver that hangs cannot hold up the others."""
LOOK_AHEAD: Final = 256


def _no_token(_user_id: str) -> None:
    return None


class Dispatcher:
    """One per database. `retry_unit` scales all delays; it is a minute outside of tests."""

    def __init__(
        self,
        db: Database,
        signals: Signals,
        *,
        allow_private: bool,
        own_urls: Collection[str] = (),
        token_for: TokenFor = _no_token,
        retry_unit: timedelta = timedelta(minutes=1),
        timeout_secs: float = 120.0,
    ) -> None:
        self._db = db
        self._signals = signals
        self._retry_unit = retry_unit
        self._sender = Sender(
            allow_private=allow_private,
            timeout_secs=timeout_secs,
            own_urls=own_urls,
            token_for=token_for,
        )
        self._in_flight: dict[str, str] = {}
        """From dispatch to the URL that is being called for it."""

    async def run(self) -> None:
        """Send until cancelled. Calls under way then are dropped, to be made again after the next start."""
        watch = clock.Watch()
        async with (
            self._sender,
            self._signals.listen(DISPATCHES) as listener,
            asyncio.TaskGroup() as calls,
        ):
            while True:
                wait_secs = await self._start_due(calls, watch)
                await listener.wait(wait_secs and min(wait_secs, clock.LOOK_AGAIN_SECS))

    async def _start_due(self, calls: asyncio.TaskGroup, watch: clock.Watch) -> float | None:
        """Start what is due and may start; return the seconds until more is due, None if that is unknown.

        What has to wait for a free place is started when a call ends, which signals.
        """
        while True:
            full = self._full_urls()
            try:
                if watch.was_set_back():
                    await self._db.write(lambda tx: _bring_forward(tx, self._retry_unit))
                    watch.heed()
                soonest = await self._db.read(
                    lambda tx, full=full: repository.soonest(tx, LOOK_AHEAD, but_not_to=full)
                )
            except Exception as error:
                log.error("webhooks.look_failed", exc_info=error)
                return self._retry_unit.total_seconds()
            wait_secs = self._start_some(calls, soonest)
            is_all = wait_secs is not None or len(soonest) < LOOK_AHEAD
            if is_all or self._full_urls() == full:
                return wait_secs

    def _start_some(
        self, calls: asyncio.TaskGroup, soonest: Sequence[tuple[str, datetime, str]]
    ) -> float | None:
        """Start those of `soonest` that are due and have a place; the seconds until the next, if in there."""
        busy, now = self._calls_by_origin(), clock.now()
        for dispatch_id, next_attempt_at, url in soonest:
            if next_attempt_at > now:
                return (next_attempt_at - now).total_seconds()
            origin = _origin(url)
            has_place = busy.total() < MAX_CALLS and busy[origin] < MAX_CALLS_PER_ORIGIN
            if has_place and dispatch_id not in self._in_flight:
                busy[origin] += 1
                self._in_flight[dispatch_id] = url
                calls.create_task(self._deliver(dispatch_id))
        return None

    def _calls_by_origin(self) -> Counter[str]:
        return Counter(map(_origin, self._in_flight.values()))

    def _full_urls(self) -> set[str]:
        """URLs to look past: they lead to receivers that have all the calls they may have."""
        busy = self._calls_by_origin()
        return {
            url for url in self._in_flight.values() if busy[_origin(url)] >= MAX_CALLS_PER_ORIGIN
        }

    async def _deliver(self, dispatch_id: str) -> None:
        try:
            await self._attempt(dispatch_id)
        except Exception as error:
            # Still due: without a pause it would be tried again at once and for ever.
            log.error("webhooks.dispatch_failed", dispatch_id=dispatch_id, exc_info=error)
            await asyncio.sleep(self._retry_unit.total_seconds())
        finally:
            del self._in_flight[dispatch_id]
            wake_dispatcher(self._signals)

    async def _attempt(self, dispatch_id: str) -> None:
        delivery = await self._db.read(lambda tx: repository.delivery(tx, dispatch_id))
        if delivery is None:
            return
        call = await self._sender.send(delivery)
        status, next_attempt_at = self._outcome(delivery, call)
        await self._db.write(
            lambda tx: repository.record_call(
                tx, dispatch_id, call, status=status, next_attempt_at=next_attempt_at
            )
        )
        log.info(
            "webhooks.called",
            dispatch_id=dispatch_id,
            webhook_id=delivery.dispatch.webhook_id,
            response_status=call.response_status,
            status=status,
        )

    def _outcome(
        self, delivery: Delivery, call: DispatchCall
    ) -> tuple[DispatchStatus, datetime | None]:
        if call.error_message is None:
            return DispatchStatus.SUCCEEDED, None
        units = retry_delay_units(delivery.dispatch.attempts + 1)
        if units is None or delivery.definition.do_not_retry:
            return DispatchStatus.FAILED, None
        return DispatchStatus.ACTIVE, call.finished_at + units * self._retry_unit


def _bring_forward(tx: Connection, retry_unit: timedelta) -> None:
    """After the clock was set back: let none wait longer than it would have after its last call."""
    now = clock.now()
    for attempts in range(MAX_RETRIES + 1):
        units = 0 if attempts == 0 else retry_delay_units(attempts) or 0
        repository.bring_forward(tx, attempts, latest=now + units * retry_unit)


def _origin(url: str) -> str:
    return str(URL(url).origin())
