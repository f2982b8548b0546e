"""Signals: no waiter misses a change that came after it had subscribed."""

import asyncio

from callboard.core.signals import Signals


async def test_a_signal_between_two_waits_is_not_lost():
    signals = Signals()
    async with signals.listen("a") as change:
        signals.notify("a")
        assert await change.wait(0.01)
        assert not await change.wait(0.01)
        signals.notify("a")
        assert await change.wait()


async def test_every_listener_of_a_topic_is_woken_and_no_other():
    signals = Signals()
    async with (
        signals.listen("a") as one,
        signals.listen("a") as another,
        signals.listen("b") as other,
    ):
        signals.notify("a")
        assert await one.wait(1) and await another.wait(1)
        assert not await other.wait(0.01)


async def test_a_waiter_that_gives_up_misses_nothing_later():
    signals = Signals()
    async with signals.listen("a") as change:
        waiting = asyncio.create_task(change.wait())
        await asyncio.sleep(0)
        signals.notify("a")
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await change.wait(0.01)


async def test_nothing_is_kept_of_listeners_that_have_left():
    signals = Signals()
    async with signals.listen("a"):
        assert signals.has_listeners("a")
    assert not signals.has_listeners("a")
    signals.notify("a")
