"""Charging for the items of a run's default dataset: an event that is counted where the item is pushed.

Which datasets that goes for is kept in memory, filled by launches: so a push into any other costs one look-up.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import Connection

from callboard.runs import repository
from callboard.runs.charges import charges_for_items, is_over_cap, with_item_count
from callboard.runs.model import Run

log = structlog.get_logger()


class ItemCharges:
    """Listens to pushes. `end` is told of a run that has charged more than it may."""

    def __init__(self, end: Callable[[Run], Awaitable[None]]) -> None:
        self._end = end
        self._runs: dict[str, str] = {}
        self._datasets: dict[str, str] = {}
        self._ending: set[asyncio.Future[None]] = set()

    def watch(self, run: Run) -> None:
        """Before a program of the run is started."""
        if charges_for_items(run):
            self._runs[run.default_dataset_id] = run.id
            self._datasets[run.id] = run.default_dataset_id

    def in_push(self, tx: Connection, dataset_id: str, total: int) -> Run | None:
        """Count, in the push's transaction, the items that there are then. The run, if it is charged for them."""
        run_id = self._runs.get(dataset_id)
        run = None if run_id is None else repository.by_id(tx, run_id)
        if run is None or run.status.is_terminal:
            return None
        return repository.with_counts(tx, run, with_item_count(run, total))

    def pushed(self, run: Run) -> None:
        """After the push that was charged for."""
        if is_over_cap(run):
            ending = asyncio.ensure_future(self._end_logged(run))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _end_logged(self, run: Run) -> None:
        """What fails is tried again with the next push."""
        try:
            await self._end(run)
        except Exception as error:
            log.error("run.not_ended_over_cap", run_id=run.id, exc_info=error)

    async def close(self) -> None:
        """Returns when no run is being ended any more."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    def forget(self, run_id: str) -> None:
        """When none of the run's programs is left."""
        if dataset_id := self._datasets.pop(run_id, None):
            self._runs.pop(dataset_id, None)
