"""Recording how a job ended. That is known once only, so a database that is full or locked is waited for."""

import asyncio
import itertools
from typing import TypeVar

import structlog
from sqlalchemy.exc import OperationalError

from callboard.db.base import Database, Unit

log = structlog.get_logger()

T = TypeVar("T")
RETRY_SECS = (0.5, 2.0, 10.0, 30.0)


async def record(db: Database, unit: Unit[T], *, owner_id: str) -> T:
    """Write `unit`, again and again while the database cannot. Any other error of the unit is raised."""
    for secs in itertools.chain(RETRY_SECS, itertools.repeat(RETRY_SECS[-1])):
        try:
            return await db.write(unit)
        except OperationalError as error:
            log.error("job.not_recorded", id=owner_id, error=str(error.orig), retry_secs=secs)
        await asyncio.sleep(secs)
    raise AssertionError("unreachable: the delays never end")
