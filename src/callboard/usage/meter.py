"""Counting what accounts and runs use: reads and writes of storages, compute units, transfer.

Counts are gathered in memory and written together shortly after, so that a read costs no write of its own. A crash
may lose the last moments of counting; it never loses what was counted.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import TypeAlias

import structlog
from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from callboard.core.caller import Caller
from callboard.db.base import Database
from callboard.db.prepared import Prepared
from callboard.db.tables import run_usage, usage

log = structlog.get_logger()

FLUSH_AFTER_SECS = 2.0

_DAY_SECS = 86_400
_EPOCH = date(1970, 1, 1)

_AccountKey: TypeAlias = tuple[str, int, str]
_RunKey: TypeAlias = tuple[str, str]


class Service(StrEnum):
    """The contract's names of what is counted."""

    ACTOR_COMPUTE_UNITS = "ACTOR_COMPUTE_UNITS"
    DATASET_READS = "DATASET_READS"
    DATASET_WRITES = "DATASET_WRITES"
    KEY_VALUE_STORE_READS = "KEY_VALUE_STORE_READS"
    KEY_VALUE_STORE_WRITES = "KEY_VALUE_STORE_WRITES"
    KEY_VALUE_STORE_LISTS = "KEY_VALUE_STORE_LISTS"
    REQUEST_QUEUE_READS = "REQUEST_QUEUE_READS"
    REQUEST_QUEUE_WRITES = "REQUEST_QUEUE_WRITES"
    DATA_TRANSFER_INTERNAL_GBYTES = "DATA_TRANSFER_INTERNAL_GBYTES"
    DATA_TRANSFER_EXTERNAL_GBYTES = "DATA_TRANSFER_EXTERNAL_GBYTES"


class Meter:
    """Adds up usage by account and day and by run. For the event loop's thread only."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._accounts: dict[_AccountKey, float] = defaultdict(float)
        self._runs: dict[_RunKey, float] = defaultdict(float)
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()

    def count(self, caller: Caller | None, service: Service, quantity: float = 1) -> None:
        """Count for the caller's account and, when a run is calling, for that run. Anonymous use is not counted."""
        if caller is not None:
            self.add(caller.user_id, caller.run_id, service, quantity)

    def add(self, user_id: str, run_id: str | None, service: Service, quantity: float) -> None:
        # Days since 1970: this runs with every call on a storage.
        self._accounts[user_id, int(time.time()) // _DAY_SECS, service] += quantity
        if run_id is not None:
            self._runs[run_id, service] += quantity
        if self._timer is None:
            self._plan()

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_SECS, self._start_flush)

    def _start_flush(self) -> None:
        flush = asyncio.ensure_future(self._flush_in_background())
        self._flushes.add(flush)
        flush.add_done_callback(self._flushes.discard)

    async def _flush_in_background(self) -> None:
        try:
            await self.flush()
        except SQLAlchemyError as error:
            log.error("usage.not_written", error=str(error), retry_secs=FLUSH_AFTER_SECS)

    async def flush(self) -> None:
        """Write what has been counted so far. Returns when that is durable.

        What the database does not take is kept, and tried again with what is counted until then.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        accounts, self._accounts = self._accounts, defaultdict(float)
        runs, self._runs = self._runs, defaultdict(float)
        if accounts or runs:
            try:
                await self._db.write(lambda tx: _store(tx, accounts, runs))
            except SQLAlchemyError:
                self._take_back(accounts, runs)
                raise

    def _take_back(
        self, accounts: Mapping[_AccountKey, float], runs: Mapping[_RunKey, float]
    ) -> None:
        for account, quantity in accounts.items():
            self._accounts[account] += quantity
        for run, quantity in runs.items():
            self._runs[run] += quantity
        self._plan()

    def take_run(self, run_id: str) -> dict[str, float]:
        """What the run has used and is not written yet. The taker writes it, with `store_run`."""
        taken = {service: used for (owner, service), used in self._runs.items() if owner == run_id}
        for service in taken:
            del self._runs[run_id, service]
        return taken


def _adding(table: Table, key: list[str]) -> Prepared:
    row = insert(table)
    total = table.c.quantity + row.excluded.quantity
    return Prepared(row.on_conflict_do_update(index_elements=key, set_={"quantity": total}))


_ADD = _adding(usage, ["user_id", "day", "service"])
_ADD_TO_RUN = _adding(run_usage, ["run_id", "service"])
_OF_RUN = Prepared(
    select(run_usage.c.service, run_usage.c.quantity).where(run_usage.c.run_id == bindparam("run"))
)


def run_totals(tx: Connection, run_id: str) -> dict[str, float]:
    rows = _OF_RUN.all(tx, {"run": run_id})
    return {row[0]: row[1] for row in rows}


def _store(
    tx: Connection, accounts: Mapping[_AccountKey, float], runs: Mapping[_RunKey, float]
) -> None:
    for (user_id, days, service), quantity in accounts.items():
        day = (_EPOCH + timedelta(days=days)).isoformat()
        values = {"user_id": user_id, "day": day, "service": service, "quantity": quantity}
        _ADD.run(tx, values)
    for (run_id, service), quantity in runs.items():
        store_run(tx, run_id, {service: quantity})


def store_account(tx: Connection, user_id: str, service: Service, quantity: float) -> None:
    """Add to what the account has used today, where the transaction already tells that it is so."""
    _store(tx, {(user_id, int(time.time()) // _DAY_SECS, service): quantity}, {})


def store_run(tx: Connection, run_id: str, used: Mapping[str, float]) -> None:
    """Add to what the run has used."""
    for service, quantity in used.items():
        values = {"run_id": run_id, "service": service, "quantity": quantity}
        _ADD_TO_RUN.run(tx, values)
