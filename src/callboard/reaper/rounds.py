"""What a round of the reaper takes away. All of it is decided from rows, in small transactions that let others in.

Any step may be cut off at any point: the next round goes on where this one stopped.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.model import DEFAULT_TAG
from callboard.builds import repository as build_rows
from callboard.builds.model import Build
from callboard.core import clock
from callboard.datasets import repository as dataset_rows
from callboard.db.base import Database
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.logs.service import LogService
from callboard.reaper import repository
from callboard.reaper.leftovers import leftovers
from callboard.reaper.policy import DISPATCH_AGE, KEEP_RUNS, UNUSED_BUILD_AGE, Policy
from callboard.request_queues import repository as queue_rows
from callboard.runs import repository as run_rows
from callboard.runs.service import remove_run
from callboard.webhooks.service import reap as reap_dispatches

BATCH = 500


class Rounds:
    """`remove_build_files` takes away what a build left on disk, its log included."""

    def __init__(
        self,
        db: Database,
        stores: KeyValueStoreService,
        logs: LogService,
        policy: Policy,
        *,
        logs_folder: Path,
        builds_folder: Path,
        remove_build_files: Callable[[str], Awaitable[None]],
    ) -> None:
        self._db = db
        self._stores = stores
        self._logs = logs
        self._policy = policy
        self._logs_folder = logs_folder
        self._builds_folder = builds_folder
        self._remove_build_files = remove_build_files

    async def sweep(self) -> None:
        """A whole round: let go of what is kept no longer, then reclaim what it held."""
        now = clock.now()
        for user_id, days in (await self._db.read(repository.retentions)).items():
            before = self._policy.cutoff(days, now)
            await self._expire_runs(user_id, before)
            await self._expire_storages(user_id, before, now)
        await self._remove_unused_builds(now)
        await self._each_batch(
            lambda tx: reap_dispatches(tx, created_before=now - DISPATCH_AGE, limit=BATCH)
        )
        await self.reclaim()
        await self._stores.reclaim_orphans()
        await self._remove_leftovers()

    async def reclaim(self) -> None:
        """Remove what deleted storages held."""
        await self._each_batch(lambda tx: dataset_rows.reclaim(tx, limit=BATCH))
        await self._each_batch(lambda tx: queue_rows.reclaim(tx, limit=BATCH))
        while await self._stores.reclaim(limit=BATCH):
            pass

    async def _each_batch(self, unit: Callable[[Connection], int]) -> None:
        while await self._db.write(unit):
            pass

    async def _expire_runs(self, user_id: str, before: datetime) -> None:
        while run_ids := await self._db.read(
            lambda tx: repository.expired_runs(
                tx, user_id, before=before, keep=KEEP_RUNS, limit=BATCH
            )
        ):
            for run_id in run_ids:
                await self._db.write(lambda tx, run_id=run_id: _remove_ended(tx, run_id))
                self._logs.remove(run_id)

    async def _expire_storages(self, user_id: str, before: datetime, at: datetime) -> None:
        await self._each_batch(
            lambda tx: repository.expire_storages(tx, user_id, before=before, at=at, limit=BATCH)
        )

    async def _remove_unused_builds(self, now: datetime) -> None:
        candidates = await self._db.read(
            lambda tx: repository.unused_builds(
                tx,
                before=now - UNUSED_BUILD_AGE,
                orphaned_before=self._policy.cutoff(None, now),
                limit=BATCH,
            )
        )
        for build_id in candidates:
            if await self._db.write(lambda tx, build_id=build_id: _remove_untagged(tx, build_id)):
                await self._remove_build_files(build_id)

    async def _remove_leftovers(self) -> None:
        for log_id in await leftovers(self._db, self._logs_folder, suffix=".log"):
            self._logs.remove(log_id)
        for build_id in await leftovers(self._db, self._builds_folder):
            await self._remove_build_files(build_id)


def _remove_ended(tx: Connection, run_id: str) -> None:
    run = run_rows.by_id(tx, run_id)
    # It may have been resurrected since it was found.
    if run is not None and run.status.is_terminal:
        remove_run(tx, run)


def _remove_untagged(tx: Connection, build_id: str) -> bool:
    build = build_rows.by_id(tx, build_id)
    if build is None or _is_offered(tx, build):
        return False
    build_rows.remove(tx, build_id)
    return True


def _is_offered(tx: Connection, build: Build) -> bool:
    """Whether a run may still ask for the build without naming its number."""
    actor = actor_rows.by_id(tx, build.actor_id)
    if actor is None:
        return False
    default = actor.default_run_options.get("build") or DEFAULT_TAG
    tagged = any(entry["buildId"] == build.id for entry in actor.tagged_builds.values())
    return tagged or default == build.build_number
