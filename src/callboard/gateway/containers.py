"""The web servers of runs: which run an address is of, and a connection into it."""

import asyncio
import socket

import h11
from sqlalchemy import Connection

from callboard.db.base import Database
from callboard.gateway import heads, repository
from callboard.gateway.errors import NoSuchServer, NothingListens, RunIsOver
from callboard.gateway.places import Kind, Place
from callboard.jobs.launches import Launches
from callboard.jobs.observer import JobObserver, job_name
from callboard.proxy.wire import Wire, opened
from callboard.runs import repository as run_rows
from callboard.runs.model import Run

CONNECT_SECS = 10.0
PROBE_SECS = 10.0


class Containers:
    def __init__(self, db: Database, launches: Launches, observer: JobObserver) -> None:
        self._db = db
        self._launches = launches
        self._observer = observer

    async def find(self, place: Place) -> Run | None:
        """The run whose web server this is, None when it is none's. Raises NoSuchServer or RunIsOver."""
        if place.kind is Kind.RUN:
            return await self.alive(place.ref)
        if place.kind is not Kind.NAME:
            return None

        def unit(tx: Connection) -> Run | None:
            run_id = repository.run_id_of(tx, place.ref)
            return None if run_id is None else run_rows.by_id(tx, run_id)

        return await self._db.read(unit)

    async def alive(self, run_id: str) -> Run:
        """The run as it is now. Raises NoSuchServer or RunIsOver."""
        run = await self._db.read(lambda tx: run_rows.by_id(tx, run_id))
        if run is None:
            raise NoSuchServer
        if run.status.is_terminal:
            raise RunIsOver(run.id, run.status)
        return run

    async def connect(self, run: Run) -> socket.socket:
        """Raises NothingListens, or RunIsOver."""
        try:
            async with asyncio.timeout(CONNECT_SECS):
                connection = await self._launches.connect(job_name(run.id, run.attempts.started))
        except (OSError, TimeoutError) as error:
            await self.alive(run.id)
            raise NothingListens(run.id) from error
        self._observer.note_serving(run.id)
        return connection

    async def serves(self, run: Run) -> bool:
        """Whether a request gets an answer, whatever it is. Raises RunIsOver."""
        try:
            streams = await opened(await self.connect(run))
        except (NothingListens, OSError):
            return False
        try:
            async with asyncio.timeout(PROBE_SECS):
                return await _answers(Wire(h11.CLIENT, streams))
        except (OSError, TimeoutError, h11.ProtocolError):
            return False
        finally:
            streams[1].close()


async def _answers(wire: Wire) -> bool:
    await wire.send(h11.Request(method="GET", target="/", headers=heads.probe()))
    await wire.send(h11.EndOfMessage())
    event = await wire.receive()
    while isinstance(event, h11.InformationalResponse):
        event = await wire.receive()
    return isinstance(event, h11.Response)
