"""Receivers that really listen, and a dispatcher over a real database to call them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.receivers import Answer, Receiver, listening

from callboard.api.pagination import PageRequest
from callboard.core import clock
from callboard.core.signals import Signals
from callboard.db.sqlite import SqliteDatabase
from callboard.webhooks import repository
from callboard.webhooks.dispatcher import Dispatcher
from callboard.webhooks.model import (
    Condition,
    Definition,
    Dispatch,
    Event,
    EventType,
    NewWebhook,
)
from callboard.webhooks.service import publish, wake_dispatcher

Listen = Callable[..., Any]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Starts receivers that are gone after the test."""
    async with AsyncExitStack() as stack:

        async def start(*answers: Answer, **site_options: Any) -> Receiver:
            return await stack.enter_async_context(listening(*answers, **site_options))

        yield start


@dataclass
class Post:
    """A database with webhooks, and the dispatcher when it has been started."""

    db: SqliteDatabase
    signals: Signals = field(default_factory=Signals)
    user_id: str = "user1user1user1us"
    _loop: asyncio.Task[None] | None = None

    async def webhook(self, url: str, condition: Condition | None = None, **options: Any) -> str:
        """A new webhook, on runs of `actor1` that succeed unless said otherwise."""
        events = options.pop("event_types", (EventType.RUN_SUCCEEDED,))
        definition = Definition(event_types=events, request_url=url, **options)
        condition = condition or Condition(actor_id="actor1")
        return await self.db.write(
            lambda tx: repository.insert_webhook(
                tx, self.user_id, condition, NewWebhook(definition), at=clock.now()
            )
        )

    async def publish(self, event: Event | None = None) -> int:
        count = await self.db.write(lambda tx: publish(tx, event or run_event()))
        wake_dispatcher(self.signals)
        return count

    async def start(self, **options: Any) -> None:
        options = {"allow_private": True, "retry_unit": timedelta(milliseconds=1)} | options
        self._loop = asyncio.create_task(Dispatcher(self.db, self.signals, **options).run())

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
            self._loop = None

    async def until_finished(self) -> list[Dispatch]:
        """All dispatches, once none of them is to be called any more."""
        async with asyncio.timeout(10), self.signals.listen("webhook-dispatches") as listener:
            while await self.db.read(lambda tx: repository.soonest(tx, 1, but_not_to=())):
                await listener.wait()
        return await self.dispatches()

    async def dispatches(self) -> list[Dispatch]:
        request = PageRequest(offset=0, limit=1000, desc=False)
        page = await self.db.read(lambda tx: repository.dispatch_page(tx, self.user_id, request))
        return page.items


def run_event(type_: EventType = EventType.RUN_SUCCEEDED, **changes: Any) -> Event:
    event: dict[str, Any] = {
        "type": type_,
        "user_id": "user1user1user1us",
        "created_at": clock.now(),
        "event_data": {"actorId": "actor1", "actorRunId": "run1", "actorTaskId": "task1"},
        "resource": {"id": "run1", "status": "SUCCEEDED", "exitCode": 0},
    }
    return Event(**(event | changes))


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    post = Post(SqliteDatabase(tmp_path / "callboard.db"))
    yield post
    await post.stop()
    await post.db.close()
