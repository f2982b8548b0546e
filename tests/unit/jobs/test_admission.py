"""The memory budget: first come, first served, and nothing of it is ever lost."""

import asyncio
from contextlib import suppress

from callboard.jobs.admission import MemoryBudget


class Job:
    """Holds memory in the background from when it gets it until `end`."""

    def __init__(self, budget: MemoryBudget, mbytes: int, *, is_running: bool = False) -> None:
        self.is_admitted = asyncio.Event()
        self._may_end = asyncio.Event()
        self.task = asyncio.create_task(self._hold(budget, mbytes, is_running))

    async def _hold(self, budget: MemoryBudget, mbytes: int, is_running: bool) -> None:
        async with budget.reserve(mbytes, is_running=is_running):
            self.is_admitted.set()
            await self._may_end.wait()

    def let_go(self) -> None:
        self._may_end.set()

    async def end(self) -> None:
        self.let_go()
        await self.task

    async def cancel(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def settle() -> None:
    """Let everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_jobs_start_as_memory_allows_in_the_order_they_came():
    budget = MemoryBudget(1000)
    first, second, small = Job(budget, 600), Job(budget, 600), Job(budget, 100)
    await settle()
    assert (first.is_admitted.is_set(), second.is_admitted.is_set()) == (True, False)
    assert not small.is_admitted.is_set(), "a small one must not overtake a big one for ever"
    await first.end()
    await settle()
    assert second.is_admitted.is_set() and small.is_admitted.is_set()
    await second.end()
    await small.end()
    assert budget.used_mbytes == 0


async def test_a_job_that_gives_up_waiting_lets_the_next_one_in():
    budget = MemoryBudget(1000)
    running, big, small = Job(budget, 500), Job(budget, 800), Job(budget, 100)
    await settle()
    await big.cancel()
    await settle()
    assert small.is_admitted.is_set()
    await running.end()
    await small.end()
    assert budget.used_mbytes == 0


async def test_memory_that_becomes_free_while_a_job_gives_up_is_not_lost():
    budget = MemoryBudget(1000)
    running, waiting, after = Job(budget, 1000), Job(budget, 1000), Job(budget, 1000)
    await settle()
    # The running one lets go before the other has noticed that it is cancelled.
    running.let_go()
    waiting.task.cancel()
    await settle()
    assert after.is_admitted.is_set()
    await after.end()
    assert budget.used_mbytes == 0


async def test_memory_given_to_a_job_cancelled_at_that_moment_goes_to_the_next():
    budget = MemoryBudget(1000)
    running, waiting, after = Job(budget, 1000), Job(budget, 1000), Job(budget, 1000)
    await settle()
    await running.end()
    waiting.task.cancel()
    await settle()
    assert after.is_admitted.is_set()
    await after.end()
    assert budget.used_mbytes == 0


async def test_running_jobs_of_an_earlier_server_count_before_anybody_is_admitted():
    budget = MemoryBudget(1000)
    with budget.closed():
        new = Job(budget, 600)
        old = Job(budget, 800, is_running=True)
        await settle()
        assert (old.is_admitted.is_set(), new.is_admitted.is_set()) == (True, False)
    await settle()
    assert not new.is_admitted.is_set()
    await old.end()
    await settle()
    assert new.is_admitted.is_set()
    await new.end()


async def test_a_job_bigger_than_the_budget_runs_alone_instead_of_blocking_all_others():
    budget = MemoryBudget(1000)
    running, huge, after = Job(budget, 100), Job(budget, 4000), Job(budget, 100)
    await settle()
    assert not huge.is_admitted.is_set()
    await running.end()
    await settle()
    assert (huge.is_admitted.is_set(), after.is_admitted.is_set()) == (True, False)
    await huge.end()
    await settle()
    assert after.is_admitted.is_set()
    await after.end()
