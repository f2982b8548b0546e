"""SQLite: one writer thread that commits in groups, and a few reader threads.

WAL mode with `synchronous=FULL`: what `write` returned survives a power cut. Everything that waits while a commit
is under way goes into the next one together, so a disk flush serves many callers.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from callboard.db.base import Database, Unit
from callboard.db.migrate import upgrade
from callboard.db.prepared import toolkit_error

T = TypeVar("T")
GROUP_MAX = 256
READER_THREADS = 4
_BEGIN_WRITE = "BEGIN IMMEDIATE"
_LOG_BYTES = 1000 * 4096
"""Where the database begins to write what is in the log to its place, and then the log anew."""
_WRITER_CACHE_KIB = 16_000
# Each reader has a cache of its own; what is not in it is still in the system's, a copy away.
_READER_CACHE_KIB = 4_000


@dataclass
class _Job:
    unit: Unit[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class SqliteDatabase(Database):
    """The embedded database: one file, owned by one server process."""

    def __init__(self, path: Path) -> None:
        """Raises UnknownDatabase."""
        # Made here so that nobody else may read it; the files beside it get the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._writer_engine = _engine(path, size=1)
        try:
            _upgrade(self._writer_engine)
            _make_room_in_log(self._writer_engine, path)
        except BaseException:
            self._writer_engine.dispose()
            raise
        self._reader_engine = _engine(path, size=READER_THREADS, is_read_only=True)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._looks: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._is_closed = False
        self._writer = _thread(self._write_loop, "db-write")
        self._readers = [_thread(self._read_loop, f"db-read-{n}") for n in range(READER_THREADS)]

    async def write(self, unit: Unit[T]) -> T:
        return await self._asked(self._jobs, unit)

    async def read(self, unit: Unit[T]) -> T:
        return await self._asked(self._looks, unit)

    def _asked(self, jobs: "queue.SimpleQueue[_Job | None]", unit: Unit[T]) -> asyncio.Future[T]:
        if self._is_closed:
            raise RuntimeError("the database is closed")
        loop = asyncio.get_running_loop()
        job = _Job(unit, loop.create_future(), loop)
        jobs.put(job)
        return job.future

    async def close(self) -> None:
        self._is_closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        for _ in self._readers:
            self._looks.put(None)
        for reader in self._readers:
            await asyncio.to_thread(reader.join)
        self._reader_engine.dispose()
        self._writer_engine.dispose()

    def _write_loop(self) -> None:
        with _connected(self._writer_engine) as connection:
            while group := self._next_group():
                _commit(connection, group)
                for job in group:
                    _tell(job)

    def _read_loop(self) -> None:
        """Keeps one connection: taking one for each look costs as much as the look."""
        with _connected(self._reader_engine) as connection:
            while job := self._looks.get():
                _look(connection, job)
                _tell(job)

    def _next_group(self) -> list[_Job]:
        """Wait for one job and take what else is there. Empty when the database closes."""
        job = self._jobs.get()
        group: list[_Job] = []
        while job is not None:
            group.append(job)
            if len(group) == GROUP_MAX:
                return group
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group
        if group:
            self._jobs.put(None)
        return group


def _thread(loop: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    return thread


def _tell(job: _Job) -> None:
    try:
        job.loop.call_soon_threadsafe(job.settle)
    except RuntimeError:  # the loop is closed: nobody waits there any more
        return


def _look(connection: Connection, job: _Job) -> None:
    def unit(_: sqlite3.Connection) -> None:
        job.value = job.unit(connection)

    try:
        _finish(connection, _begun(connection, "BEGIN"), unit)
    except BaseException as error:  # noqa: BLE001 - the caller gets it; the reader must live on
        job.error = _raisable(error)


class _TransactionLost(Exception):
    """SQLite has undone the whole transaction: on some errors, such as a full disk, it does."""


def _commit(connection: Connection, group: Sequence[_Job]) -> None:
    """Run the group in one transaction; where that comes to nothing, each unit in one of its own."""
    if len(group) > 1 and _commit_together(connection, group):
        return
    for job in group:
        _commit_alone(connection, job)


def _commit_together(connection: Connection, group: Sequence[_Job]) -> bool:
    """Whether the group's fate is settled. If not, nothing of it was kept."""

    def units(driver: sqlite3.Connection) -> None:
        for job in group:
            _run_in_savepoint(connection, driver, job)
            _require_transaction(driver)

    try:
        driver = _begun(connection, _BEGIN_WRITE)
    except DBAPIError as error:
        for job in group:
            job.error = error
        return True
    try:
        _finish(connection, driver, units)
    except Exception:  # noqa: BLE001 - whatever it was, the units are to be tried one by one
        return False
    return True


def _run_in_savepoint(connection: Connection, driver: sqlite3.Connection, job: _Job) -> None:
    driver.execute("SAVEPOINT unit")
    try:
        job.value = job.unit(connection)
    except BaseException as error:  # noqa: BLE001 - this caller gets it; the others' units stand
        job.error = _raisable(error)
        driver.execute("ROLLBACK TO unit")
    driver.execute("RELEASE unit")


def _commit_alone(connection: Connection, job: _Job) -> None:
    job.value, job.error = None, None

    def unit(driver: sqlite3.Connection) -> None:
        job.value = job.unit(connection)
        _require_transaction(driver)

    try:
        _finish(connection, _begun(connection, _BEGIN_WRITE), unit)
    except BaseException as error:  # noqa: BLE001 - the caller gets it; the writer must live on
        job.error = _raisable(error)


def _begun(connection: Connection, begin: str) -> sqlite3.Connection:
    """The driver's connection, in a transaction. Raises DBAPIError.

    Past the toolkit, whose transactions cost as much as a short unit. It takes the connection to be in one for ever.
    """
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(begin)
    except sqlite3.Error as error:
        raise toolkit_error(connection, begin, error) from error
    return driver


def _finish(
    connection: Connection,
    driver: sqlite3.Connection,
    work: Callable[[sqlite3.Connection], None],
) -> None:
    """Do the work and commit, or undo what it did when it fails. Raises DBAPIError, too."""
    try:
        work(driver)
        driver.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(driver)
        raise toolkit_error(connection, "COMMIT", error) from error
    except BaseException:
        _roll_back(driver)
        raise


def _roll_back(driver: sqlite3.Connection) -> None:
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _require_transaction(driver: sqlite3.Connection) -> None:
    """The driver commits without complaint when there is nothing to commit any more."""
    if not driver.in_transaction:
        raise _TransactionLost("the transaction was lost before it could be committed")


def _raisable(error: BaseException) -> BaseException:
    """A future refuses this one exception, and its caller would wait for ever."""
    return (
        RuntimeError("a unit let StopIteration out") if isinstance(error, StopIteration) else error
    )


@contextmanager
def _connected(engine: Engine) -> Generator[Connection]:
    """A connection for the transactions of `_begun`."""
    with engine.connect() as connection, connection.begin():
        yield connection


def _upgrade(engine: Engine) -> None:
    """In a transaction of the toolkit's, which by itself would begin none here."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_BEGIN_WRITE)

    event.listen(engine, "begin", begin)
    try:
        upgrade(engine)
    finally:
        event.remove(engine, "begin", begin)


def _make_room_in_log(engine: Engine, path: Path) -> None:
    """Let the write-ahead log have the size at once that it would grow to.

    A flush that has to record that a file has grown takes up to twice as long. What fills the log is undone before it
    is committed, so it is never read; written it is, as it does not fit the cache. Without room on the disk, the log
    has to grow.
    """
    log = path.with_name(f"{path.name}-wal")
    with suppress(sqlite3.Error, OSError), engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        if log.stat().st_size >= _LOG_BYTES:
            return
        driver.execute("PRAGMA cache_size=10")
        driver.execute(_BEGIN_WRITE)
        try:
            driver.execute("CREATE TABLE filler (bytes)")
            driver.execute("INSERT INTO filler VALUES (zeroblob(?))", (_LOG_BYTES,))
        finally:
            _roll_back(driver)
            driver.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}")
        with log.open("rb") as file:
            os.fsync(file.fileno())


def _engine(path: Path, *, size: int, is_read_only: bool = False) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": 30, "cached_statements": 512},
        query_cache_size=2000,
        hide_parameters=True,  # what users store must not get into logs by way of errors
    )

    def configure(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = dbapi_connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            f"cache_size=-{_READER_CACHE_KIB if is_read_only else _WRITER_CACHE_KIB}",
            f"query_only={is_read_only:d}",
            "mmap_size=0",  # mapped pages would count as the server's memory, for every connection anew
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", configure)
    return engine
