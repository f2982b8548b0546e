"""Actor Standby: an Actor or a task answers HTTP at a lasting address, by runs that come and go with the demand."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.core.caller import Caller
from callboard.core.errors import ApiError
from callboard.db.base import Database
from callboard.gateway.containers import Containers
from callboard.gateway.errors import RunIsOver
from callboard.gateway.places import Place
from callboard.gateway.standby_pool import Pool
from callboard.gateway.standby_runs import ORIGIN, StandbyRuns
from callboard.gateway.standby_targets import Key, Target, find_target, target_of
from callboard.runs import repository as run_rows
from callboard.runs.model import Run
from callboard.tasks import repository as task_rows
from callboard.users import repository as user_rows

_TRIES = 3
"""A run may end between being chosen and being reached."""


class Standby:
    def __init__(self, db: Database, runs: StandbyRuns, containers: Containers) -> None:
        self._db = db
        self._runs = runs
        self._containers = containers
        self._pools: dict[Key, Pool] = {}

    async def find(self, caller: Caller, place: Place) -> Target:
        """Raises NoSuchServer, StandbyOff, InsufficientPermissions, or that there is no build to run."""
        return await self._db.read(lambda tx: find_target(tx, caller, place))

    @asynccontextmanager
    async def connected(self, target: Target) -> AsyncGenerator[tuple[Run, socket.socket]]:
        """A connection to a run that has room for a request, for the time of the block. Raises ApiError."""
        for left in reversed(range(_TRIES)):
            async with self._pool(target).room(target) as run:
                try:
                    connection = await self._containers.connect(
                        await self._containers.alive(run.id)
                    )
                except RunIsOver:
                    if left:
                        continue
                    raise
                yield run, connection
                return

    async def recover(self) -> None:
        """Take over the runs that an earlier server started. Those that nobody may ask any more are ended."""
        found = await self._db.read(_unfinished)
        for run, caller, target in found:
            if target is None:
                await self._runs.end(caller, run, "The Actor is not in Standby mode any more")
            else:
                self._pool(target).adopt(run)

    async def close(self) -> None:
        """Let go of all runs. They go on, or are ended by whoever closes the server."""
        for pool in list(self._pools.values()):
            await pool.close()

    def _pool(self, target: Target) -> Pool:
        key = target.key
        if key not in self._pools:
            self._pools[key] = Pool(self._runs, target, lambda: self._forget(key))
        return self._pools[key]

    def _forget(self, key: Key) -> None:
        self._pools.pop(key, None)


def _unfinished(tx: Connection) -> list[tuple[Run, Caller, Target | None]]:
    found: list[tuple[Run, Caller, Target | None]] = []
    for run in run_rows.unfinished(tx):
        user = user_rows.user_by_id(tx, run.user_id)
        if run.origin == ORIGIN and user is not None:
            caller = Caller(user.id, user.username)
            found.append((run, caller, _target(tx, caller, run)))
    return found


def _target(tx: Connection, caller: Caller, run: Run) -> Target | None:
    """What a run answers for, None when that is gone or not in Standby mode."""
    actor = actor_rows.by_id(tx, run.actor_id)
    task = None if run.task_id is None else task_rows.by_id(tx, run.task_id)
    if actor is None or (run.task_id is not None and task is None):
        return None
    try:
        return target_of(tx, caller, actor, task)
    except ApiError:
        return None
